"""The published head-pose machine: what it is given, what it learns, what it keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.corpus import needs_weights
from vidscan.behavior.head_pose import paper_features
from vidscan.errors import SetupError
from vidscan.evaluation.head_pose_svm import FRAMES, fit, head_pose_svm
from vidscan.evaluation.scanning import Scanning
from vidscan.scanner import Scanner
from vidscan.training.corpus import Entry

EXAMPLES = Path(__file__).parents[2] / "examples"


def clips(seed: int) -> list[tuple[np.ndarray, bool]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(0.8 * (k % 2), 1, (30, 12)), k % 2 == 0) for k in range(12)]


def test_it_is_a_machine_on_scaled_frames_averaged_over_the_clip() -> None:
    train, (clip, _) = clips(0), clips(1)[1]
    rows = np.concatenate([own for own, _ in train])
    labels = np.repeat([not genuine for _, genuine in train], 30)
    scaler = StandardScaler().fit(rows)
    expected = SVC(kernel="rbf", class_weight="balanced").fit(scaler.transform(rows), labels)
    assert fit(train)(clip) == pytest.approx(expected.decision_function(scaler.transform(clip)).mean())


def test_forged_clips_score_above_genuine_ones() -> None:
    machine = fit(clips(0))
    scores = {True: [], False: []}
    for own, genuine in clips(1):
        scores[genuine].append(machine(own))
    assert max(scores[True]) < 0 < min(scores[False])


@pytest.mark.parametrize("genuine", [True, False])
def test_one_kind_of_clips_teaches_nothing(genuine: bool) -> None:
    with pytest.raises(SetupError, match="genuine and forged"):
        fit([(rows, genuine) for rows, _ in clips(0)])


@needs_weights
def test_poses_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = [
        Entry("train", name == "genuine", f"{name}.mp4", "video", "", name, "", "", "", "")
        for name in ("genuine", "manipulated")
    ]
    steps: list[str] = []

    def judge() -> dict[str, float]:
        return head_pose_svm(
            EXAMPLES, train, train[:1], tmp_path, Scanning(jobs=1), lambda name, n: lambda: steps.append(name)
        )

    first = judge()
    assert first.keys() == {"genuine.mp4"}
    (series,) = Scanner().series(EXAMPLES / "genuine.mp4")
    rows = paper_features(series)
    kept = [np.load(path) for path in tmp_path.iterdir()]
    assert len(kept) == 2 and all(own.shape == (FRAMES, 12) for own in kept)
    picked = rows[np.linspace(0, len(rows) - 1, FRAMES).round().astype(int)]
    assert any(np.array_equal(own, picked) for own in kept)
    monkeypatch.setattr(Scanner, "series", lambda *_: pytest.fail("read again"))
    assert judge() == first and len(steps) == 6
