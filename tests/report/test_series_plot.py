"""The plot of everything that was measured over time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behavior.blinking import disagreeing
from tests.behavior.moving_face import lose, nodding
from tests.report.sample_reports import sample
from vidscan.errors import SetupError
from vidscan.report.series_plot import MOST_TRACKS, plot_series, strip, with_gaps
from vidscan.types import FrameReport, Report, TrackReport


@given(st.lists(st.integers(0, 60), min_size=3, max_size=40, unique=True))
def test_a_line_breaks_where_rows_are_missing_and_nowhere_else(rows: list[int]) -> None:
    times = np.array(sorted(rows)) / 25
    when, what = with_gaps(times, np.column_stack([times, times]))
    kept = np.isfinite(what).all(axis=1)
    np.testing.assert_allclose(when[kept], times)
    np.testing.assert_allclose(what[kept, 0], times)
    assert (np.diff(when) > 0).all()
    steps = np.diff(times)
    assert (~kept).sum() == (steps > 2.5 * np.median(steps)).sum()


def test_only_gaps_are_empty_in_a_strip() -> None:
    times = np.arange(100) / 25
    values = np.column_stack([times, 2 * times])
    whole = strip(times, values, 0.0, float(times[-1]))
    assert np.isfinite(whole).all() and (np.diff(whole, axis=1) > 0).all()
    np.testing.assert_allclose(whole[1], 2 * whole[0])
    values[40:60] = np.nan
    cut = strip(times, values, 0.0, float(times[-1]))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(cut[0])), np.arange(40, 60))
    # A clip of an hour is averaged, not drawn row by row.
    long = np.arange(90_000) / 25
    assert strip(long, np.ones((len(long), 17)), 0.0, 3600.0).shape == (17, 600)


def report_with(tracks: int) -> Report:
    report = sample("manipulated")
    first = report.tracks[0]
    rows: list[TrackReport] = [replace(first, track_id=n, frames=100 + n, end_s=6.0) for n in range(tracks)]
    frames = [
        FrameReport(i, i / 25, n, (10.0, 10.0, 90.0, 110.0), 0.4 if i % 3 == 0 else None, None)
        for n in range(tracks)
        for i in range(150)
    ]
    return replace(report, tracks=tuple(rows), frames=tuple(frames))


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    face = replace(lose(nodding(), slice(40, 60)), track_id=0)
    metadata = {"file title": "$x_{1}$ \x1b[31m", "video codec": "h264"}  # neither mathematics nor orders
    out = tmp_path / "new folder" / "out.png"
    assert plot_series(report_with(1), [face], out, metadata) == out
    one = cv2.imread(str(out))
    assert one is not None and (one == 255).all(axis=2).mean() > 0.3
    assert [path.name for path in out.parent.iterdir()] == ["out.png"]


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Titles of what is saved while the test runs, by the side they stand at."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    found: dict[str, list[str]] = {"left": [], "right": []}
    save = Figure.savefig

    def spy(figure: Figure, *args: object, **options: object) -> None:
        for side, own in found.items():
            own.extend(axes.get_title(side) for axes in figure.axes)  # type: ignore[arg-type]
        save(figure, *args, dpi=20)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", spy)
    return found


def test_the_longest_tracks_side_by_side(tmp_path: Path, titles: dict[str, list[str]]) -> None:
    # No landmarks, no frames, a track of one row: everything has an empty panel.
    short = replace(nodding(0.04), track_id=4)
    plot_series(report_with(MOST_TRACKS + 2), [short], tmp_path / "many.png", {})
    assert [title for title in titles["right"] if title.startswith("face")] == [
        f"face {n}: manipulated" for n in (2, 3, 4)
    ]
    plot_series(replace(report_with(1), frames=()), [], tmp_path / "bare.png", {})


@pytest.mark.parametrize(
    ("rule", "blinks"), [("network", "3 blinks"), ("openness", "2 blinks"), ("ear", "1 blink")]
)
def test_blinks_are_shaded_by_the_rule_of_the_scan(
    rule: str, blinks: str, tmp_path: Path, titles: dict[str, list[str]]
) -> None:
    report = report_with(1)
    report = replace(report, settings=report.settings | {"blink_rule": rule})
    plot_series(report, [disagreeing(150)], tmp_path / "out.png", {})
    assert f"Eye openness, {blinks} shaded" in titles["left"]


def test_what_cannot_be_plotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="no track"):
        plot_series(sample("no_face"), [], tmp_path / "out.png", {})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SetupError, match=r"pip install '\.\[plot\]'"):
        plot_series(report_with(1), [], tmp_path / "out.png", {})
    assert not list(tmp_path.iterdir())
