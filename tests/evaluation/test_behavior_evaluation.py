"""Tables of how well faces are read, from made-up truths and answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.behavior.moving_face import lose, nodding
from vidscan.evaluation.behavior import CONDITIONS, Reading, markdown, tabulate
from vidscan.faces.units import UNITS
from vidscan.types import FaceSeries

SECONDS, FPS = 12.0, 25.0
COUNT = round(SECONDS * FPS)
BLINKS = (60, 130, 200)


def truth_of(seed: int) -> FaceSeries:
    """A face that turns, and blinks three times."""
    series = nodding(SECONDS, FPS, seed=seed)
    for at in BLINKS:
        series.openness[at : at + 5] = np.array([0.5, 0.2, 0.05, 0.2, 0.5], np.float32)[:, None]
    # Units that never move have no correlation.
    rng = np.random.default_rng(seed)
    series.units[:] = rng.uniform(0, 5, series.units.shape)
    return series


def reading(seed: int = 0, person: str = "", **answers: FaceSeries) -> Reading:
    """One clip whose every condition is answered perfectly, but for ``answers`` (``_`` for a blank)."""
    truth = truth_of(seed)
    found = dict.fromkeys(CONDITIONS, truth)
    found |= {name.replace("_", " "): series for name, series in answers.items()}
    tracked = np.arange(COUNT) % 5
    return Reading(person or f"person {seed}", truth, found, tracked)


def test_perfect_answers() -> None:
    found = tabulate([reading(0), reading(1), reading(2, person="person 0")])
    assert found.people == 2
    assert [row.condition for row in found.rows] == list(CONDITIONS)
    for row in found.rows:
        assert (row.clips, row.frames, row.found, row.nme) == (3, 3 * COUNT, 1.0, 0.0)
        assert row.degrees == (0.0, 0.0, 0.0)
        assert [row.openness, row.gaze] == pytest.approx([1, 1])
        assert row.units == pytest.approx(dict.fromkeys(UNITS, 1.0))
    own = [row for row in found.blinks if row.rule == "openness"]
    assert [(b.condition, b.hits, b.false, b.missed, b.f1) for b in own] == [
        (condition, 3 * len(BLINKS), 0, 0, 1.0) for condition in ("clean", "crf 35")
    ]
    assert found.tracked_nme == {"detected": 0.0, "followed": 0.0}


def test_lost_rows_are_counted_and_not_measured() -> None:
    lost = lose(truth_of(0), np.arange(COUNT) >= 0.75 * COUNT)
    clean, late, _ = tabulate([reading(0, crf_35=lost)]).rows
    assert clean.found == 1.0
    assert late.found == pytest.approx(0.75, abs=0.005)
    assert (late.frames, late.nme, late.degrees) == (COUNT, 0.0, (0.0, 0.0, 0.0))
    assert late.openness == pytest.approx(1)


def test_errors_are_those_that_were_made() -> None:
    truth = truth_of(0)
    corners = truth.landmarks[:, [36, 45], :2].astype(float)
    ocular = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1)
    moved = truth.landmarks.copy()
    moved[..., 0] += 0.05 * ocular[:, None]
    turned = truth.rotation + np.array([3.0, -2.0, 359.0], np.float32)
    mixed = np.array(truth.units)
    mixed[:, 0] *= -1
    wrong = replace(truth, landmarks=moved.astype(np.float32), rotation=turned, units=mixed)
    row = tabulate([reading(0, clean=wrong)]).rows[0]
    assert row.nme == pytest.approx(0.05, rel=1e-3)
    assert row.degrees == pytest.approx((3, 2, 1), abs=1e-3)
    assert row.units[UNITS[0]] == pytest.approx(-1)
    assert row.units[UNITS[1]] == pytest.approx(1)


def test_frames_of_detection_are_told_from_those_that_followed() -> None:
    truth = truth_of(0)
    moved = truth.landmarks.copy()
    moved[np.arange(COUNT) % 5 > 0] += 5.0
    found = tabulate([reading(0, clean=replace(truth, landmarks=moved))]).tracked_nme
    assert found["detected"] == 0
    assert found["followed"] > 0.01


def test_blinks_missed_and_made_up() -> None:
    answer = truth_of(0)
    first, _, last = BLINKS
    answer.openness[first : first + 5] = answer.openness[first - 10 : first - 5]
    answer.openness[last + 40 : last + 45] = answer.openness[last : last + 5]
    row = next(b for b in tabulate([reading(0, clean=answer)]).blinks if b.rule == "openness")
    assert (row.hits, row.false, row.missed) == (2, 1, 1)
    assert row.f1 == pytest.approx(2 / 3)


def test_clips_with_gaps_between_their_labels_say_nothing_of_blinks() -> None:
    sparse = reading(0)
    frames = sparse.truth.frames * 5
    sparse = replace(sparse, truth=replace(sparse.truth, frames=frames))
    assert tabulate([sparse]).blinks == ()


def test_the_eye_network_is_measured_where_it_was_asked() -> None:
    blind = {name.replace(" ", "_"): replace(truth_of(1), shut=None) for name in CONDITIONS}
    seen = truth_of(0)
    seen = replace(seen, shut=(1 - np.asarray(seen.openness)).astype(np.float32))
    found = tabulate([reading(0, **(blind | {"clean": seen})), reading(1, **blind)])
    rows = [b for b in found.blinks if b.rule == "network"]
    assert [(b.condition, b.hits, b.false, b.missed) for b in rows] == [("clean", len(BLINKS), 0, 0)]
    assert not [b for b in tabulate([reading(0, **blind)]).blinks if b.rule == "network"]


def test_markdown_says_it_all() -> None:
    text = "\n".join(markdown(tabulate([reading(0)])))
    assert f"1 clips of 1 people, {COUNT} labeled frames." in text
    for word in (*CONDITIONS, "100.0%", "AU 12", "openness", "followed"):
        assert word in text
