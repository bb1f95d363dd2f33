from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from tests.manifests import entry, write_manifest
from tests.patches.fixture_weights import register_patches
from vidscan.errors import SetupError
from vidscan.evaluation.plots import det_points, plot_curves
from vidscan.evaluation.scanning import Scored, load_split
from vidscan.evaluation.tables import FALSE_ALARMS, evaluate, markdown, record_false_alarms
from vidscan.models import load_registry, register
from vidscan.types import ModelRef

MODELS = (ModelRef("v", "0" * 64),)


def scored(
    file: str,
    value: float,
    *,
    method: str = "",
    pair: str = "",
    person: str = "",
    label: str = "no_manipulation_found",
) -> Scored:
    return Scored(entry(file, person, method=method, pair=pair), value, label, None)


def clips() -> list[Scored]:
    genuine = [scored(f"g{i}", float(i)) for i in range(6)]
    forged = [scored(f"a{i}", 4.5 + i, method="A", pair=f"g{i}", label="manipulated") for i in range(3)]
    return [*genuine, *forged, scored("b0", -1.0, method="B"), scored("b1", -np.inf, method="C")]


def test_rows_by_hand() -> None:
    rows = {row.name: row for row in evaluate(clips(), MODELS, "dev").rows}
    # A's 4.5, 5.5 and 6.5 lie above 5, 6 and 6 of the six genuine clips
    assert rows["method A"].auc == pytest.approx(17 / 18)
    assert rows["method other faceswap"].auc == 0.0  # B and C have one clip each
    assert rows["mean over methods"].auc == pytest.approx(17 / 36)
    assert rows["same footage"].genuine == 3
    assert rows["same footage"].auc == 1.0
    assert rows["method A"].tpr_at_1 == pytest.approx(2 / 3)
    assert rows["all"].flagged == pytest.approx(3 / 5)
    for row in rows.values():
        assert row.interval[0] <= row.auc <= row.interval[1]


def test_rates_have_exact_binomial_intervals() -> None:
    rates = {rate.name: rate for rate in evaluate(clips(), MODELS, "dev").rates}
    forged = rates["forged clips labeled manipulated"]
    wanted = binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert forged.interval == pytest.approx((wanted.low, wanted.high))
    assert rates[FALSE_ALARMS].count == 0
    assert rates[FALSE_ALARMS].interval[0] == 0.0


def test_intervals_draw_people_not_clips() -> None:
    rng = np.random.default_rng(1)
    genuine = [scored(f"g{i}", rng.normal()) for i in range(40)]
    many = [scored(f"f{i}", rng.normal(1), method="A") for i in range(40)]
    one = [scored(s.entry.file, s.statistic, method="A", person=f"p{i % 2}") for i, s in enumerate(many)]
    apart = next(r for r in evaluate(genuine + many, MODELS, "dev").rows if r.name == "all")
    same = next(r for r in evaluate(genuine + one, MODELS, "dev").rows if r.name == "all")
    assert apart.auc == same.auc
    assert apart.interval != same.interval


def test_same_seed_same_tables() -> None:
    assert evaluate(clips(), MODELS, "dev") == evaluate(clips(), MODELS, "dev")


def test_markdown_has_every_row_and_error() -> None:
    broken = Scored(scored("x", 0.0).entry, -np.inf, "error", "corrupt: cut short")
    result = evaluate([*clips(), broken], MODELS, "dev")
    text = "\n".join(markdown(result))
    for row in result.rows:
        assert f"| {row.name} |" in text
    assert "| x | corrupt: cut short |" in text
    assert json.loads(json.dumps(asdict(result)))["corpus_split"] == "dev"


def test_plots_are_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for path in plot_curves(clips(), tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_one_sided_corpora_are_refused() -> None:
    with pytest.raises(SetupError, match="genuine and forged"):
        evaluate([scored("g", 0.0)], MODELS, "dev")


def test_empty_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no clips in split"):
        load_split(write_manifest(tmp_path), "dev")


def test_false_alarm_rate_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    register_patches(tmp_path)
    record = register(tmp_path, "v", {"statistics": torch.zeros(3)}, {"kind": "verdict", "bin": "b"})
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path))
    record_false_alarms(evaluate(clips(), (record.ref,), "dev"))
    after = load_registry().models["v"]
    assert after.settings["measured_fpr"]["clips"] == 6
    assert after.settings["measured_fpr"]["rate"] == 0.0
    assert after.sha256 == record.sha256


def test_a_family_that_is_perfectly_separated_is_seen_in_the_det_plot() -> None:
    flagged, missed = det_points(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.8, 0.9]))
    drawn = norm.ppf(np.stack([flagged, missed]))
    assert np.isfinite(drawn).all() and (np.ptp(drawn, axis=1) > 1).all()
    assert (flagged.min(), missed.min()) == (0.125, 0.25)
    mixed = det_points(np.array([0.1, 0.2, 0.85, 0.4]), np.array([0.8, 0.9]))
    assert (0.25, 0.25) in zip(*mixed, strict=True)  # one flagged of four, none missed
