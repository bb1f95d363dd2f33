"""Areas, cross-fitted rates and calibration of the verdict on values whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.manifests import entry
from tests.tracks import make_faces
from vidscan.evaluation.verdict import (
    POOLINGS,
    VerdictEvaluation,
    calibration_error,
    cross_fitted,
    markdown,
    operating_points,
    tabulate,
    variants,
)
from vidscan.training.corpus import Entry
from vidscan.training.figures import figures
from vidscan.training.verdict import WEIGHTS, folds_of
from vidscan.verdict.calibration import conformal_quantile

GENUINE = [entry(f"real{i}", f"p{i:03d}") for i in range(130)]


def values_of(seed: int) -> dict[str, float]:
    draws = np.random.default_rng(seed).normal(size=len(GENUINE))
    return {e.file: float(v) for e, v in zip(GENUINE, draws, strict=True)}


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_cross_fitted_false_alarms_are_near_the_nominal_rate(alpha: float) -> None:
    alarms = [share for seed in range(30) for share in cross_fitted(GENUINE, values_of(seed), alpha).values()]
    # 117 people of the other folds promise at most alpha, at least alpha less 1 / 118.
    slack = 3 * np.sqrt(alpha / len(alarms))
    assert alpha - 1 / 118 - slack <= np.mean(alarms) <= alpha + slack
    assert len(alarms) == 30 * len(GENUINE)


def test_thresholds_come_from_other_people_only() -> None:
    values = values_of(0)
    fold = folds_of(sorted(e.identity for e in GENUINE))[3]
    own = [e.file for e in GENUINE if e.identity in fold]
    # A whole fold that is anomalous raises its own alarm, and leaves its own thresholds alone.
    spoilt = values | dict.fromkeys(own, 50.0)
    others = np.array([v for name, v in values.items() if name not in own])
    threshold = conformal_quantile(others, 0.05)
    assert threshold < 50
    found = cross_fitted(GENUINE, spoilt, 0.05)
    assert all(found[name] for name in own)
    assert not any(found[name] for name in values if name not in own and values[name] < threshold)
    just_below = values | dict.fromkeys(own, np.nextafter(threshold, -np.inf))
    assert not any(cross_fitted(GENUINE, just_below, 0.05)[name] for name in own)


def test_forged_clips_are_judged_without_the_person_they_show() -> None:
    values = values_of(1)
    who = GENUINE[17].identity
    (fold,) = [names for names in folds_of(sorted(e.identity for e in GENUINE)) if who in names]
    others = np.array([values[e.file] for e in GENUINE if e.identity not in fold])
    threshold = conformal_quantile(others, 0.05)
    forged = [entry("fake", who, method="swap")]
    assert cross_fitted(GENUINE + forged, values | {"fake": threshold}, 0.05)["fake"]
    assert not cross_fitted(GENUINE + forged, values | {"fake": threshold - 1e-9}, 0.05)["fake"]
    stranger = [entry("fake", method="swap")]
    assert cross_fitted(GENUINE + stranger, values | {"fake": 99.0}, 0.05)["fake"]


def test_clips_without_a_face_fit_to_be_judged_set_no_threshold_and_reach_none() -> None:
    values = values_of(1)
    threshold = conformal_quantile(np.array([values[e.file] for e in GENUINE[5:]]), 0.05)
    poor = frozenset(e.file for e in GENUINE[:5])
    spoilt = values | dict.fromkeys(poor, 99.0)
    found = cross_fitted(GENUINE, spoilt, 0.05, poor)
    assert not any(found[name] for name in poor)
    rest = cross_fitted(GENUINE[5:], values, 0.05)
    assert np.mean([found[name] == rest[name] for name in rest]) > 0.97
    assert found[max(rest, key=lambda name: values[name])] and max(values.values()) > threshold
    assert sum(cross_fitted(GENUINE, spoilt, 0.05).values()) >= 5


def test_people_of_no_fold_set_every_threshold() -> None:
    values = values_of(2)
    others = np.random.default_rng(9).normal(size=300)
    found = cross_fitted(GENUINE, values, 0.05, others=others)
    for own in folds_of(sorted(e.identity for e in GENUINE)):
        rest = [values[e.file] for e in GENUINE if e.identity not in own]
        level = np.median(rest) - np.median(others)
        threshold = conformal_quantile(np.concatenate([rest, others + level]), 0.05)
        assert all(found[e.file] == (values[e.file] >= threshold) for e in GENUINE if e.identity in own)
    # Their level does not matter, how they spread does.
    assert cross_fitted(GENUINE, values, 0.05, others=others + 99) == found
    assert sum(cross_fitted(GENUINE, values, 0.05, others=3 * others).values()) < sum(found.values())
    assert sum(cross_fitted(GENUINE, values, 0.05, others=0.3 * others).values()) > sum(found.values())
    error = [calibration_error(GENUINE, values, others=spread * others) for spread in (1.0, 5.0)]
    assert error[0] < 0.03 < error[1]


def test_a_person_of_many_clips_counts_once() -> None:
    values = values_of(2)
    many = [entry(f"more{i}", GENUINE[0].identity) for i in range(400)]
    crowd = values | {e.file: 9.0 for e in many}
    plain, crowded = cross_fitted(GENUINE, values, 0.05), cross_fitted(GENUINE + many, crowd, 0.05)
    changed = [name for name in plain if plain[name] != crowded[name]]
    assert len(changed) <= 3


def test_calibration_error_is_small_for_exchangeable_people_and_large_for_clips_that_tie() -> None:
    # 130 p-values in ten bins of 13: a mean deviation of about .021 is chance.
    assert np.mean([calibration_error(GENUINE, values_of(seed)) for seed in range(10)]) < 0.03
    many = [entry(f"more{i}", GENUINE[0].identity) for i in range(400)]
    skewed = values_of(0) | {e.file: 9.0 for e in many}
    assert calibration_error(GENUINE + many, skewed) > 0.1


# The table


def forged(method: str, family: str, count: int, paired: int = 0) -> list[Entry]:
    return [
        entry(
            f"{method}{i}",
            f"p{i:03d}",
            method=method,
            family=family,
            pair=f"real{i}" if i < paired else "",
        )
        for i in range(count)
    ]


def area(genuine: list[float], others: list[float]) -> float:
    g, f = np.array(genuine), np.array(others)
    return float(np.mean((f[:, None] > g) + 0.5 * (f[:, None] == g)))


def test_areas_and_rates_of_the_row() -> None:
    rng = np.random.default_rng(0)
    swaps, puppets, rare = forged("swap", "swaps", 30, 30), forged("puppet", "reenacted", 20), []
    rare = forged("rare", "reenacted", 1)
    values = values_of(3) | {e.file: float(rng.normal(2)) for e in swaps}
    values |= {e.file: float(rng.normal(0.5)) for e in puppets} | {e.file: 8.0 for e in rare}
    row = tabulate("all", GENUINE + swaps + puppets + rare, values)

    def of(entries: list[Entry]) -> list[float]:
        return [values[e.file] for e in entries]

    assert row.name == "all"
    assert row.families["swaps"] == pytest.approx(area(of(GENUINE), of(swaps)))
    assert row.families["reenacted"] == pytest.approx(area(of(GENUINE), of(puppets + rare)))
    assert row.same_footage == pytest.approx(area(of(GENUINE[:30]), of(swaps)))
    expected = [area(of(GENUINE), of(m)) for m in (swaps, puppets, rare)]
    assert row.mean == pytest.approx(np.mean(expected))
    assert row.mean_interval[0] < row.mean < row.mean_interval[1]
    assert (row.false_alarms.of, row.found.of) == (130, 51)
    alarms = cross_fitted(GENUINE + swaps + puppets + rare, values, 0.01)
    assert row.false_alarms.count == sum(alarms[e.file] for e in GENUINE)
    assert row.found.count == sum(alarms[e.file] for e in swaps + puppets + rare)
    assert row.doubts.count >= row.false_alarms.count
    assert row.suspected.count > row.found.count
    points = operating_points(GENUINE + swaps + puppets + rare, values, (0.01, 0.1))
    by_source = figures(GENUINE + swaps + puppets + rare, values)
    text = "\n".join(markdown(VerdictEvaluation((row,), points, 0.0214, 40, 130, by_source)))
    assert f"{row.same_footage:.3f} (" in text
    assert f"{row.false_alarms.count} of 130" in text
    assert "0.021" in text
    rows, sources, rates = (part for part in text.split("\n\n") if part.startswith("|"))
    assert f"{by_source.all.value:.2f} (" in sources
    for table in (rows, sources, rates):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    first = rates.splitlines()[2]
    assert first.startswith(f"| 1% | {row.false_alarms.rate:.1%} | ")
    assert f" | {row.found.rate:.1%} | " in first


def test_what_an_allowed_rate_comes_to() -> None:
    values = values_of(4)
    swaps, puppets = forged("swap", "swaps", 4), forged("puppet", "reenacted", 2)
    values |= {"swap0": 99.0, "swap1": 99.0, "swap2": 0.9, "swap3": -9.0, "puppet0": 99.0, "puppet1": 0.9}
    strict, lax = operating_points(GENUINE + swaps + puppets, values, (0.01, 0.5))
    assert (strict.target_fpr, lax.target_fpr) == (0.01, 0.5)
    assert strict.families == {"reenacted": 0.5, "swaps": 0.5}
    assert lax.families == {"reenacted": 1.0, "swaps": 0.75}
    assert (strict.found.count, lax.found.count, lax.found.of) == (3, 5, 6)
    assert strict.false_alarms.of == 130 and strict.false_alarms.count <= 4
    assert 45 <= lax.false_alarms.count <= 85
    with pytest.raises(ValueError, match="cannot set a threshold"):
        operating_points(GENUINE, values, (0.001,))


def test_variants_add_the_groups_one_by_one_and_try_each_alone() -> None:
    found = variants()
    added = [v for name, v in found.items() if name == "patches" or name.startswith("+")]
    assert len(added) == len(WEIGHTS)
    for count, recipe in enumerate(added, 1):
        assert recipe.weights is not None
        assert sum(w > 0 for w in recipe.weights.values()) == count
    assert dict(added[-1].weights or {}) == WEIGHTS
    assert found["gaze alone"].weights == {**dict.fromkeys(WEIGHTS, 0.0), "gaze": WEIGHTS["gaze"]}


def test_poolings_by_hand() -> None:
    scores = np.array([f.score for f in make_faces([0, 1, 2], [-1.0, 0.0, 4.0])])
    assert POOLINGS["mean over time"](scores) == pytest.approx(1.0)
    weights = np.exp(scores)
    assert POOLINGS["attention over time"](scores) == pytest.approx((weights * scores).sum() / weights.sum())
    assert POOLINGS["attention over time"](scores + 1000) == pytest.approx(
        POOLINGS["attention over time"](scores) + 1000
    )
