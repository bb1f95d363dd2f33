"""Every instrument of the shelf, one after the other, on one clip or picture."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.errors import InputError, VidscanError
from vidscan.forensics.base import INSTRUMENTS, Finding, insufficient, load_instrument
from vidscan.forensics.material import Box, Material
from vidscan.forensics.provenance import read_provenance
from vidscan.media.sniff import PathLike
from vidscan.types import Report

_SETTINGS = ("max_pixels", "max_duration_s", "stream")
"""What of a scan's settings the material is read by."""
_PICTURE_PX = 640

_loaded = functools.cache(load_instrument)


@dataclass(slots=True)
class Shelf:
    """What the instruments found of one clip or picture, with what a page shows of it.

    Attributes
    ----------
    findings
        In the order of the report's.
    pictures
        Frames that maps lie over, by their time in seconds: (h, w, 3) RGB uint8, at most 640 pixels wide or
        high.
    """

    findings: list[Finding] = field(default_factory=list)
    pictures: dict[float, NDArray[np.uint8]] = field(default_factory=dict)


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


def with_forensics(
    report: Report,
    path: PathLike,
    boxes: Mapping[int, Sequence[Box]],
    *,
    embedded: bool = False,
    shelf: Shelf | None = None,
) -> Report:
    """The report with ``forensics`` and ``provenance``; nothing else of it changes but the timing.

    Parameters
    ----------
    report
        Of a scan of ``path``.
    path
        The file.
    boxes
        Faces (x0, y0, x1, y1) in pixels, by frame index.
    embedded
        The report is that of the video behind a photo.
    shelf
        Takes the findings with their maps and series.

    Raises
    ------
    InputError
        Where the file can no longer be read.
    """
    start = time.perf_counter()
    known = {name: report.settings[name] for name in _SETTINGS if name in report.settings}
    material = Material(path, faces=boxes, embedded=embedded, **known)
    findings = examine(material)
    if shelf is not None:
        shelf.findings = findings
        shelf.pictures = _pictures(material, findings)
    spent = time.perf_counter() - start
    timing = replace(report.timing_s, forensics=spent, total=report.timing_s.total + spent)
    return replace(
        report,
        forensics=tuple(finding.reported() for finding in findings),
        provenance=read_provenance(path),
        timing_s=timing,
    )


def _pictures(material: Material, findings: Sequence[Finding]) -> dict[float, NDArray[np.uint8]]:
    wanted = {f.map_time_s for f in findings if f.map is not None and f.over_frame}
    found = {}
    for frame in material.frames if wanted else ():
        if frame.time_s in wanted:
            height, width = frame.image.shape[:2]
            scale = min(1.0, _PICTURE_PX / max(height, width))
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            found[frame.time_s] = np.asarray(
                cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8
            )
    return found


def _examined(name: str, material: Material) -> Finding:
    instrument = _loaded(name)
    try:
        return instrument.examine(material)
    except VidscanError as error:
        code = error.code if isinstance(error, InputError) else "not_installed"
        return insufficient(instrument, code, f"It could not look: {error}.")
    except Exception as error:  # a bug in one instrument must not cost the verdict
        if os.environ.get("VIDSCAN_DEBUG") == "1":
            raise
        return insufficient(instrument, "internal", f"It failed: {type(error).__name__}.")
