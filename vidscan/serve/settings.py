"""How a service behaves; :mod:`vidscan.cli.serve` fills this in."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from vidscan.errors import SetupError

MIN_SECRET = 16
"""Characters that a token or a callback secret has at least."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What the operator chose.

    Attributes
    ----------
    data
        Folder of the database, the uploads and the results.
    token
        What clients have to present; None asks for nothing, which only a loopback address may.
    hosts
        Names under which clients may reach a service without a token, beside the loopback's.
    roots
        Folders whose files may be named instead of uploaded, resolved.
    callbacks
        Addresses (``https://host/prefix``) that results may be sent to.
    callback_secret
        Signs what is sent; None where ``callbacks`` is empty.
    private_callbacks
        Whether ``callbacks`` may lead to private addresses.
    keep_h
        Hours after a job's end at which its upload, page and masks are deleted.
    max_upload
        Bytes of one upload.
    max_queue
        Jobs that may wait, uploads under way among them.
    rate
        Jobs and failed sign-ins that one client may make in a minute.
    patience_s
        Seconds within which an upload has to go on.
    """

    data: Path
    token: str | None = None
    hosts: frozenset[str] = frozenset()
    roots: tuple[Path, ...] = ()
    callbacks: tuple[str, ...] = ()
    callback_secret: str | None = field(default=None, repr=False)
    private_callbacks: bool = False
    keep_h: float = 24.0
    max_upload: int = 2_000_000_000
    max_queue: int = 1000
    rate: int = 600
    patience_s: float = 30.0


def read_secret(path: Path, option: str) -> str:
    """The one line of a token file.

    Raises
    ------
    SetupError
        It cannot be read, or what it holds is no secret.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"{option} {path}: {getattr(error, 'strerror', None) or 'not ASCII text'}"
        ) from error
    if len(lines) != 1 or len(lines[0]) < MIN_SECRET or not lines[0].isprintable() or " " in lines[0]:
        raise SetupError(
            f"{option} {path}: needs one line of at least {MIN_SECRET} characters without spaces"
        )
    return lines[0]


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
