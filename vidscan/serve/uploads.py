"""Takes uploads: multipart/form-data, written to disk as it comes, hashed on the way, sniffed at the end."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import re
import secrets
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from vidscan.errors import InputError
from vidscan.media.sniff import sniff
from vidscan.serve.models import JobOptions
from vidscan.serve.problems import RefusedError

FORM_BYTES = 64_000
"""Of a request beside the file."""
_FIELD_BYTES = 4096
_MAX_PARTS = 8
_MAX_NAME = 255

Options = TypeVar("Options", bound=JobOptions)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came whole; whoever gets this owns ``file``."""

    file: Path
    name: str
    sha256: str
    bytes: int
    options: JobOptions


async def receive_upload(request: Request, folder: Path, max_bytes: int, patience_s: float) -> Upload:
    """The file and the fields of a form.

    Parameters
    ----------
    request
        Its body has not been read.
    folder
        Takes the file, under a name of our own.
    max_bytes
        Of the file.
    patience_s
        Seconds within which the next piece has to come.

    Raises
    ------
    RefusedError
        The form is broken or too large, stops coming, or holds no video or picture.
    """
    _, parameters = parse_options_header(request.headers.get("content-type"))
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise RefusedError(400, "bad_form", "the form has no usable boundary")
    form = _Form(boundary, folder, max_bytes)
    try:
        async for chunk in body(request, max_bytes + FORM_BYTES, patience_s):
            # Disks may be slow: nobody else is to wait for this one.
            await run_in_threadpool(form.feed, chunk)
        return await run_in_threadpool(form.finish)
    except OSError as error:
        raise _disk(error) from error
    except MultipartParseError as error:
        raise RefusedError(400, "bad_form", f"not a whole form: {error}") from error
    finally:
        form.close()


async def receive_json(request: Request, model: type[Options], patience_s: float) -> Options:
    """A small JSON body; raises RefusedError where it is none."""
    text = b"".join([chunk async for chunk in body(request, FORM_BYTES, patience_s)])
    try:
        return validated(model, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "bad_json", "the body is no JSON") from error


async def body(request: Request, max_bytes: int, patience_s: float) -> AsyncIterator[bytes]:
    """The pieces of a body; raises RefusedError where they are too many, or too slow."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large(max_bytes)
    stream, size = request.stream(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), patience_s)
        except StopAsyncIteration:
            return
        except (TimeoutError, asyncio.TimeoutError) as error:
            message = f"nothing came for {patience_s:g} seconds"
            raise RefusedError(408, "too_slow", message, {"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise RefusedError(400, "cut_short", "the client went away") from error
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes)
        if chunk:
            yield chunk


def too_large(max_bytes: int) -> RefusedError:
    """Of a body that announces or holds too much."""
    message = f"more than {max_bytes:,} bytes are not taken"
    return RefusedError(413, "too_large", message, {"Connection": "close"})


def validated(model: type[Options], values: Any) -> Options:
    """The options that a client sent; raises RefusedError where they are none."""
    try:
        return TypeAdapter(model).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise RefusedError(422, "bad_request", f"{where}: {first['msg']}") from None


def base_name(told: str) -> str:
    """The last part of what a client calls its file, in characters that a report can hold."""
    name = re.split(r"[/\\]", told)[-1].replace("\0", "")
    name = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) == "Cs" else c for c in name)
    return name[:_MAX_NAME] if name.strip(" .") else "clip"


class _Form:
    """A form as its bytes come."""

    def __init__(self, boundary: bytes, folder: Path, max_bytes: int) -> None:
        self._file = folder / f"{secrets.token_hex(16)}.part"
        self._max_bytes = max_bytes
        self._out: Any = None
        self._hash, self._bytes, self._name = hashlib.sha256(), 0, ""
        self._fields: dict[str, bytearray] = {}
        self._parts, self._ended = 0, False
        self._header, self._value, self._headers = bytearray(), bytearray(), dict[str, bytes]()
        self._into: bytearray | None = None
        self._whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_end": self._on_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        self._parser.write(chunk)

    def finish(self) -> Upload:
        """What the form held; its file reached the disk."""
        self._parser.finalize()
        if not self._ended:
            raise RefusedError(400, "bad_form", "the form ends early")
        if self._out is None:
            raise RefusedError(422, "bad_request", "file: the form holds none")
        self._out.flush()
        os.fsync(self._out.fileno())
        try:
            sniff(self._file)
        except InputError as error:
            message = str(error).removeprefix(f"{self._file}: ")
            raise RefusedError(415, error.code, message) from error
        values = {name: bytes(value).decode("utf-8", "replace") for name, value in self._fields.items()}
        options = validated(JobOptions, values)
        self._whole = True
        return Upload(self._file, self._name, self._hash.hexdigest(), self._bytes, options)

    def close(self) -> None:
        """Lets go of the file, and removes it where the form did not come whole."""
        if self._out is not None:
            try:
                self._out.close()
            finally:
                if not self._whole:
                    self._file.unlink(missing_ok=True)

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise RefusedError(422, "bad_request", f"more than {_MAX_PARTS} parts")
        self._headers = {}

    def _on_header(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _on_headers(self) -> None:
        _, told = parse_options_header(self._headers.get("content-disposition"))
        name = told.get(b"name", b"").decode("utf-8", "replace")
        self._into = None
        if name != "file":
            if name in self._fields:
                raise RefusedError(422, "bad_request", "a field comes twice")
            self._into = self._fields[name] = bytearray()
            return
        if self._out is not None:
            raise RefusedError(422, "bad_request", "file: one a request")
        self._name = base_name(told.get(b"filename", b"").decode("utf-8", "backslashreplace"))
        self._out = open(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: PTH123, SIM115

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            self._into.extend(data[start:end])
            if len(self._into) > _FIELD_BYTES:
                raise RefusedError(422, "bad_request", f"a field of more than {_FIELD_BYTES} bytes")
            return
        piece = data[start:end]
        self._bytes += len(piece)
        if self._bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self._hash.update(piece)
        self._out.write(piece)

    def _on_end(self) -> None:
        self._ended = True


def _disk(error: OSError) -> RefusedError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return RefusedError(507, "disk_full" if full else "disk", f"cannot keep the upload: {error.strerror}")
