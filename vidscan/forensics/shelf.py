"""Every instrument of the shelf, one after the other, on one clip or picture."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable

from vidscan.errors import VidscanError
from vidscan.forensics.base import INSTRUMENTS, Finding, insufficient, load_instrument
from vidscan.forensics.material import Material

_loaded = functools.cache(load_instrument)


def examine(material: Material, names: Iterable[str] = ()) -> list[Finding]:
    """What the instruments find, in the order of :data:`vidscan.forensics.base.INSTRUMENTS`.

    An instrument that fails costs its own finding only (``insufficient``).

    Parameters
    ----------
    material
        The clip or picture.
    names
        Only these instruments; all where empty.

    Raises
    ------
    KeyError
        Where there is no such instrument.
    """
    return [_examined(name, material) for name in tuple(names) or INSTRUMENTS]


def _examined(name: str, material: Material) -> Finding:
    instrument = _loaded(name)
    try:
        return instrument.examine(material)
    except VidscanError as error:
        return insufficient(instrument, error.code, f"It could not look: {error}.")
    except Exception as error:  # a bug in one instrument must not cost the verdict
        if os.environ.get("VIDSCAN_DEBUG") == "1":
            raise
        return insufficient(instrument, "internal", f"It failed: {type(error).__name__}.")
