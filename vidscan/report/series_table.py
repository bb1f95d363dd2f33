"""Every measured value of a clip's faces, one row per frame and face, for spreadsheets and data frames.

Names follow OpenFace's output where the value is the same (frame, face_id, timestamp, confidence, success,
x_0.., y_0.., AU01_r..); where ours differs in unit or axes, so does the name.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.blink import find_blinks
from vidscan.behavior.eye_closure import closure
from vidscan.behavior.series import seen
from vidscan.errors import SetupError, lacking
from vidscan.faces.units import UNITS
from vidscan.outputs import Replacement
from vidscan.types import EyeRule, FaceSeries, Report

_POINTS = 68
_DIGITS = 6
"""Significant digits that are kept: what is measured in single precision has no more."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of one kind."""

    names: tuple[str, ...]
    meaning: str

    @property
    def title(self) -> str:
        """``x_0 .. x_67``, or all names where they are few."""
        if len(self.names) <= 4:
            return ", ".join(self.names)
        return f"{self.names[0]} .. {self.names[-1]}"


COLUMNS: tuple[Columns, ...] = (
    Columns(("frame",), "index of the frame in the clip, from 0"),
    Columns(("face_id",), "number of the face, as reports tell it"),
    Columns(("timestamp",), "seconds from the first frame"),
    Columns(("confidence",), "0 to 1 that the landmarks lie on a face"),
    Columns(("success",), "1 where they do, else 0, and what rests on them is empty"),
    Columns(("box_x0", "box_y0", "box_x1", "box_y1"), "box of the face, pixels"),
    Columns(("look",), "0 to 1, the patch network's score of this crop alone; empty where it did not look"),
    Columns(
        ("pose_pitch", "pose_yaw", "pose_roll"),
        "rotation of the head, degrees: down, to the image's left, clockwise in the image are positive",
    ),
    Columns(
        ("gaze_left_yaw", "gaze_left_pitch", "gaze_right_yaw", "gaze_right_pitch"),
        "where the left and the right eye in the image look, against the head, degrees, signs likewise",
    ),
    Columns(tuple(f"AU{unit:02d}_r" for unit in UNITS), "intensities of action units, 0 to 5"),
    Columns(("eye_left_open", "eye_right_open"), "openness of the eyes by the landmarks, 0 to 1"),
    Columns(("eye_left_shut", "eye_right_shut"), "probability that an eye is shut, by the eye-state network"),
    Columns(("blink",), "1 within a blink, else 0"),
    Columns(tuple(f"x_{n}" for n in range(_POINTS)), "landmarks in iBUG's order, pixels to the right"),
    Columns(tuple(f"y_{n}" for n in range(_POINTS)), "pixels down"),
    Columns(tuple(f"z_{n}" for n in range(_POINTS)), "depth in pixels, 0 at the face's mean"),
)
"""Every column with its meaning, in order."""

_WHOLE = {"frame": "int64", "face_id": "int64", "success": "int8", "blink": "int8"}
"""Columns of whole numbers, with their types in Parquet."""
Value = float | int | None


def write_series(report: Report, series: Sequence[FaceSeries], path: Path) -> None:
    """Write all series to ``path``, as CSV, JSON (a list of objects) or Parquet by its suffix, atomically.

    ``report`` is of the same scan, with frames.

    Raises
    ------
    SetupError
        Another suffix; or Parquet without pyarrow.
    OSError
        The file cannot be written.
    """
    write = writer(path)
    with Replacement(path) as part:
        write(_table(report, series), part.path)


def writer(path: Path) -> Callable[[dict[str, list[Value]], Path], None]:
    """What writes a file of this suffix; raises SetupError as :func:`write_series` does."""
    found = _WRITERS.get(path.suffix.lower())
    if found is None:
        raise SetupError(f"{path} is none of {', '.join(_WRITERS)}")
    if found is _write_parquet:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise SetupError(lacking("Parquet needs pyarrow", "parquet")) from error
    return found


def _table(report: Report, series: Sequence[FaceSeries]) -> dict[str, list[Value]]:
    """Values by column, by frame and then by face."""
    names = [name for columns in COLUMNS for name in columns.names]
    order: list[tuple[int, int]] = []
    blocks = []
    for own in series:
        order += [(int(frame), own.track_id) for frame in own.frames]
        blocks.append(_values(own, report))
    values = np.concatenate(blocks) if blocks else np.empty((0, len(names)))
    values = values[sorted(range(len(order)), key=order.__getitem__)]
    return {
        name: [_value(name, value) for value in column.tolist()]
        for name, column in zip(names, values.T, strict=True)
    }


def _values(series: FaceSeries, report: Report) -> NDArray[np.float64]:
    """(T, all columns) of one track; NaN where unknown."""
    known, rows = seen(series), len(series.times)
    told = {f.index: f for f in report.frames if f.track_id == series.track_id}
    boxes, looks = np.full((rows, 4), np.nan), np.full(rows, np.nan)
    for row, index in enumerate(series.frames.tolist()):
        if (frame := told.get(index)) is not None:
            boxes[row] = frame.box
            looks[row] = np.nan if frame.score is None else frame.score
    parts: list[NDArray[np.floating]] = [
        series.frames.astype(np.float64),
        np.full(rows, float(series.track_id)),
        series.times,
        series.confidence,
        known.astype(np.float64),
        boxes,
        looks,
        series.rotation,
        series.gaze.reshape(rows, 4),
        series.units,
        series.openness,
        np.full((rows, 2), np.nan) if series.shut is None else series.shut,
        _blinking(series, report.settings["blink_rule"]),
        *np.moveaxis(series.landmarks, -1, 0),
    ]
    return np.column_stack([np.asarray(part, np.float64) for part in parts])


def _blinking(series: FaceSeries, rule: EyeRule) -> NDArray[np.float64]:
    """(T,) 1 within a blink, else 0; NaN where the eyes were not seen."""
    closed = closure(series, rule)
    found = np.where(np.isfinite(closed).all(axis=1), 0.0, np.nan)
    for blink in find_blinks(series.times, closed).blinks:
        found[(series.times >= blink.start_s) & (series.times <= blink.end_s)] = 1.0
    return found


def _value(name: str, value: float) -> Value:
    if not np.isfinite(value):
        return None
    if name == "timestamp":
        return round(value, 6)  # also hours into a clip
    return int(value) if name in _WHOLE else float(f"{value:.{_DIGITS}g}")


# --------------------------------------------------------------------------- formats


def _rows(table: dict[str, list[Value]]) -> Iterator[tuple[Value, ...]]:
    return zip(*table.values(), strict=True)


def _write_csv(table: dict[str, list[Value]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(table)
        out.writerows(_rows(table))


def _write_json(table: dict[str, list[Value]], path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for number, row in enumerate(_rows(table)):
            stream.write(",\n" if number else "\n")
            json.dump(dict(zip(table, row, strict=True)), stream)
        stream.write("\n]\n")


def _write_parquet(table: dict[str, list[Value]], path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    columns = {
        name: pyarrow.array(values, type=_WHOLE.get(name, "float64")) for name, values in table.items()
    }
    write_table(pyarrow.table(columns), path)


_WRITERS = {".csv": _write_csv, ".json": _write_json, ".parquet": _write_parquet}
