"""The report as JSON, its schema, and the way back."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import numbers
from typing import Any, TextIO

from vidscan.report.upgrade import upgraded
from vidscan.types import Report

DIGITS = 6
"""Decimal places that floats keep."""


def to_dict(report: Report) -> dict[str, Any]:
    """A report as plain dicts, lists, strings and numbers, in the order of the dataclasses.

    ``frames`` is there only where frames were asked for: where the report holds any, or its
    settings say ``frames``. ``forensics`` and ``provenance`` are there only where they were asked for.

    Raises
    ------
    ValueError
        Where a number is not finite: JSON has no word for it.
    """
    out: dict[str, Any] = _plain(report, "report")
    if not report.frames and not report.settings.get("frames"):
        del out["frames"]
    if report.forensics is None:
        del out["forensics"], out["provenance"]
    return out


def dumps(report: Report, *, indent: int | None = None) -> str:
    """A report as JSON text, ASCII only so that no terminal or pipe can spoil it."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(to_dict(report), indent=indent, separators=separators, allow_nan=False)


def loads(text: str | bytes) -> Report:
    """The report that :func:`dumps` wrote, of this schema version or an earlier one.

    Raises
    ------
    ValueError
        Where the text is not a report of a known schema version.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not a vidscan report")
    report: Report = _adapter().validate_python({"frames": [], **upgraded(data)})
    return report


def report_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a report, generated from :class:`vidscan.types.Report`."""
    schema = _adapter().json_schema(mode="serialization")
    for node in (schema, *schema.get("$defs", {}).values()):
        # Dataclass defaults make fields optional to pydantic, but every report carries them.
        if "properties" in node:
            node["required"] = list(node["properties"])
    for name in ("frames", "forensics", "provenance"):  # only where asked for
        schema["required"].remove(name)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vidscan report",
        **{key: value for key, value in schema.items() if key != "title"},
    }


class JsonWriter:
    """One report as one indented object."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, report: Report) -> None:
        """Writes the report and flushes."""
        self._stream.write(dumps(report, indent=2) + "\n")
        self._stream.flush()


@functools.cache  # to make one takes a thousand times as long as to use it
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Report)


def _plain(value: Any, where: str) -> Any:
    """Recursively plain JSON values; ``where`` names the place for the error message."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _plain(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{n}]") for n, item in enumerate(value)]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):  # numpy's scalars register here too
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{where} is {number}, which JSON cannot hold")
        return round(number, DIGITS) + 0.0  # -0.0 becomes 0.0
    if hasattr(value, "tolist"):  # numpy's bool and arrays
        return _plain(value.tolist(), where)
    raise TypeError(f"{where} is a {type(value).__name__}, which has no place in a report")
