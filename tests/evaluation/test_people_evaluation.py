"""The measurement of enrolled people: who qualifies, who is tried against whom, and the rates."""

from __future__ import annotations

import numpy as np
import pytest

from tests.person_series import person_series
from vidscan.evaluation.people import (
    PeopleEvaluation,
    PeopleRow,
    _auc_and_equal_error,
    evaluate_people,
    halve,
    markdown,
)
from vidscan.types import FaceSeries


def clips_of(people: int, seconds: float) -> dict[str, FaceSeries]:
    return {f"{person}.mp4": person_series(person, seconds) for person in range(people)}


def identities(clips: dict[str, FaceSeries]) -> dict[str, str]:
    return {name: name.split(".")[0].split("-")[0] for name in clips}


def test_separable_people_are_separated() -> None:
    clips = clips_of(5, 50.0)
    clips["short.mp4"] = person_series(77, 15.0)
    clips["0-more.mp4"] = person_series(0, 30.0, clip=1)
    found = evaluate_people(clips, identities(clips))
    assert (found.people, found.clips, found.min_seconds) == (6, 7, 10.0)
    assert [(row.window_s, "means" in row.features) for row in found.rows] == [
        (10.0, True),
        (10.0, False),
        (5.0, True),
        (5.0, False),
    ]
    for row in found.rows:
        assert row.qualifying == 5  # the short clip's first half is under 10 s
        assert row.genuine >= 5 and row.impostors >= 20
        assert row.auc is not None and row.auc_interval is not None and row.equal_error_interval is not None
        assert row.auc > 0.9 and row.equal_error is not None and row.equal_error < 0.15
        assert row.auc_interval[0] <= row.auc <= row.auc_interval[1]
        assert row.equal_error_interval[0] <= row.equal_error <= row.equal_error_interval[1]
    assert found.rows[0].seconds == pytest.approx(25, abs=0.5)


def test_people_who_move_alike_are_not() -> None:
    clips = {f"{name}.mp4": person_series(3, 40.0, clip=name, steadiness=0.0) for name in range(6)}
    row = evaluate_people(clips, identities(clips)).rows[1]
    assert row.qualifying == 6
    assert row.auc is not None and 0.2 < row.auc < 0.8


def test_one_person_alone_cannot_be_measured() -> None:
    clips = clips_of(1, 40.0)
    row = evaluate_people(clips, identities(clips)).rows[0]
    assert (row.qualifying, row.genuine, row.impostors, row.auc) == (1, 1, 0, None)
    assert "| - | - |" in "\n".join(markdown(evaluate_people({}, {})))


def test_halves_share_nothing_and_lose_nothing() -> None:
    clips = [person_series(1, seconds, clip=i) for i, seconds in enumerate((20.0, 30.0, 12.0))]
    first, second = halve(clips)
    assert [len(c.times) for c in first] == [200, pytest.approx(108, abs=3)]
    assert sum(len(c.times) for c in first + second) == 620
    assert second[0].times[0] > first[1].times[-1]
    (a,), (b,) = halve(clips[:1])
    assert (len(a.times), len(b.times)) == (100, 100)
    assert halve([]) == ([], [])


@pytest.mark.parametrize(
    ("genuine", "impostor", "auc", "equal_error"),
    [
        ([0.1, 0.2], [0.8, 0.9], 1.0, 0.0),
        ([0.8, 0.9], [0.1, 0.2], 0.0, 1.0),
        ([0.5], [0.5], 0.5, 0.5),
        ([0.1, 0.2, 0.3, 0.7], [0.6, 0.8, 0.9, 1.0], 15 / 16, 0.25),
    ],
)
def test_rates_by_hand(genuine: list[float], impostor: list[float], auc: float, equal_error: float) -> None:
    scores = np.array([*genuine, *impostor])
    of_person = np.arange(len(scores)) < len(genuine)
    found = _auc_and_equal_error(scores, of_person, np.ones(len(scores)))
    assert found == pytest.approx((auc, equal_error))
    doubled = np.r_[scores, scores[:1]], np.r_[of_person, of_person[:1]]
    weights = np.r_[2.0, np.ones(len(scores) - 1)]
    assert _auc_and_equal_error(scores, of_person, weights) == pytest.approx(
        _auc_and_equal_error(*doubled, np.ones(len(scores) + 1))
    )


def test_areas_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    scores, of_person = rng.integers(0, 20, 200) / 20, rng.random(200) < 0.3
    weights = rng.uniform(0, 2, 200)
    expected = roc_auc_score(~of_person, scores, sample_weight=weights)
    assert _auc_and_equal_error(scores, of_person, weights)[0] == pytest.approx(expected)


def test_markdown_says_how_little_it_is() -> None:
    row = PeopleRow(10.0, "190 correlations", 3, 12.5, 1, 4, 6, 0.75, (0.5, 1.0), 0.25, (0.1, 0.4))
    text = "\n".join(markdown(PeopleEvaluation(7, 9, 10.0, (row,))))
    assert (
        "| 10 s | 190 correlations | 3 of 7 | 12.5 s | 1 | 4 genuine, 6 impostor | 0.750 (0.500 to 1.000) | "
        "0.250 (0.100 to 0.400) |" in text
    )
    assert "little material" in text and "no comparison" in text
