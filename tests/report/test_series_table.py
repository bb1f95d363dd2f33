"""Series as tables: every value in its row and column, in three formats that say the same."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_reports import sample

from tests.behavior.blinking import disagreeing
from tests.series import make_series
from vidscan.errors import SetupError
from vidscan.faces.units import UNITS
from vidscan.report.series_table import COLUMNS, write_series
from vidscan.types import FaceSeries, FrameReport, Report

NAMES = [name for columns in COLUMNS for name in columns.names]


@pytest.fixture
def measured() -> tuple[Report, list[FaceSeries]]:
    """Two faces; of the first, row 3 was lost, and row 2 was looked at."""
    first = replace(make_series(0.4, seed=1, track_id=1), frames=np.arange(10) * 2)
    lost: dict[str, Any] = {
        name: np.array(getattr(first, name))
        for name in ("landmarks", "units", "openness", "rotation", "gaze", "shut")
    }
    for values in lost.values():
        values[3] = np.nan
    first = replace(first, **lost)
    second = replace(make_series(0.2, seed=2, track_id=2, shut=None), frames=np.arange(5) * 2 + 4)
    frames = (
        FrameReport(4, 0.08, 1, (1.0, 2.0, 30.0, 40.0), 0.25, None),
        FrameReport(6, 0.12, 1, (1.5, 2.0, 30.0, 40.0), None, None),
    )
    report = sample()
    settings = report.settings | {"blink_rule": "openness"}
    return replace(report, frames=frames, settings=settings), [first, second]


def read(path: Path) -> list[dict[str, float | None]]:
    if path.suffix == ".json":
        rows: list[dict[str, float | None]] = json.loads(path.read_text("utf-8"))
        return rows
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        return parquet.read_table(path).to_pylist()  # type: ignore[no-any-return]
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            {name: float(value) if value else None for name, value in row.items()}
            for row in csv.DictReader(stream)
        ]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_every_value_is_in_its_row_and_column(
    suffix: str, measured: tuple[Report, list[FaceSeries]], tmp_path: Path
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    report, (first, second) = measured
    write_series(report, [first, second], tmp_path / f"s{suffix}")
    rows = read(tmp_path / f"s{suffix}")
    assert len(rows) == 15 and all(list(row) == NAMES for row in rows)
    places = [(row["frame"], row["face_id"]) for row in rows]
    assert places == sorted(places) and len(set(places)) == 15
    by_place = dict(zip(places, rows, strict=True))
    row = by_place[4, 1]
    expected = {
        "timestamp": 0.08, "success": 1, "look": 0.25, "box_x1": 30.0, "blink": 0,
        "pose_yaw": first.rotation[2, 1], "gaze_right_pitch": first.gaze[2, 1, 1],
        "AU12_r": first.units[2, UNITS.index(12)], "eye_right_open": first.openness[2, 1],
        "eye_left_shut": first.shut[2, 0], "x_67": first.landmarks[2, 67, 0],
        "y_0": first.landmarks[2, 0, 1], "z_30": first.landmarks[2, 30, 2],
    }  # fmt: skip
    for name, value in expected.items():
        assert row[name] == pytest.approx(float(value), rel=1e-5, abs=1e-6), name
    gone = by_place[6, 1]
    assert gone["success"] == 0 and gone["box_x0"] == 1.5 and gone["confidence"] == 1
    assert {gone[name] for name in ("look", "x_0", "AU01_r", "pose_yaw", "blink", "eye_left_open")} == {None}
    other = by_place[4, 2]
    assert other["eye_left_shut"] is None and other["box_x0"] is None
    assert other["x_0"] == pytest.approx(float(second.landmarks[0, 0, 0]), rel=1e-5)


@pytest.mark.parametrize(("rule", "blinks"), [("network", 3), ("openness", 2), ("ear", 1)])
def test_blinks_are_those_of_the_rule_of_the_scan(rule: str, blinks: int, tmp_path: Path) -> None:
    report = sample()
    report = replace(report, settings=report.settings | {"blink_rule": rule})
    series = disagreeing(300)
    write_series(report, [series if rule == "network" else replace(series, shut=None)], tmp_path / "s.csv")
    state = [row["blink"] for row in read(tmp_path / "s.csv")]
    assert sum(a == 0 and b == 1 for a, b in pairwise(state)) == blinks


def test_times_hours_into_a_clip_stay_apart(
    measured: tuple[Report, list[FaceSeries]], tmp_path: Path
) -> None:
    report, (first, _) = measured
    late = replace(first, times=first.times + 20_000)
    write_series(report, [late], tmp_path / "s.csv")
    told = [row["timestamp"] for row in read(tmp_path / "s.csv")]
    assert told == pytest.approx(late.times.tolist(), rel=0, abs=1e-6)


def test_other_suffixes_are_refused(measured: tuple[Report, list[FaceSeries]], tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"none of \.csv, \.json, \.parquet"):
        write_series(*measured, tmp_path / "s.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_the_columns_are_documented() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
    for columns in COLUMNS:
        assert f"| `{columns.title}` | {columns.meaning} |" in docs
    assert len(NAMES) == len(set(NAMES))
