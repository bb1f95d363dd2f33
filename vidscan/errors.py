"""Errors that vidscan raises, each with the stable machine code that reports carry."""

from __future__ import annotations


class VidscanError(Exception):
    """Base of every error vidscan raises on purpose.

    ``code`` is stable across versions and is what ``error.code`` of a report holds;
    ``str(error)`` is one line for a person.
    """

    code = "internal"


class InputError(VidscanError):
    """One input could not be scanned; a batch goes on without it."""

    code = "unreadable"


class NotFoundError(InputError):
    code = "not_found"


class UnreadableError(InputError):
    code = "unreadable"


class NoVideoStreamError(InputError):
    code = "no_video_stream"


class UnsupportedCodecError(InputError):
    code = "unsupported_codec"


class CorruptError(InputError):
    code = "corrupt"


class TooLargeError(InputError):
    code = "too_large"


class NoFaceError(InputError):
    """There is no face to work on; scanning reports this as a verdict, not as an error."""

    code = "no_face"


class ScanTimeoutError(InputError):
    code = "timeout"


class DecoderCrashedError(InputError):
    code = "decoder_crashed"


class OutOfMemoryError(InputError):
    code = "out_of_memory"


class NotWrittenError(VidscanError):
    """Something beside the verdicts could not be written. Exit code 3."""

    code = "not_written"


class SetupError(VidscanError):
    """The run cannot start: bad configuration, missing extra, unusable device. Exit code 2."""

    code = "setup"


class WeightsError(SetupError):
    """A weight file is missing, or its sha256 is not the registry's."""

    code = "weights"


def lacking(what: str, extra: str) -> str:
    """What to say where libraries of an ``extra`` are missing. On PyPI the name is another program's."""
    return f"{what}: pip install '.[{extra}]' in the clone that vidscan was installed from"
