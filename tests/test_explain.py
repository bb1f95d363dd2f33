"""Maps that explain a score, and the crops they are made for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples.clips import make_clip, pattern
from tests.patches.fixture_weights import make_weights, register_patches
from tests.test_scanner import FPS, HEIGHT, WIDTH, moving_face, scanner_with
from vidscan.errors import NoFaceError, NotFoundError, SetupError
from vidscan.explain import METHODS, Crop, explain, explain_crops, mean_of_clips, telling_crops
from vidscan.patches.classifier import PatchClassifier, normalise
from vidscan.scanner import Scanner
from vidscan.types import ScanSettings

SIDE = 96


def classifier(folder: Path, **changes: Any) -> PatchClassifier:
    return PatchClassifier(register_patches(folder, **changes))


def noise(count: int = 2, seed: int = 0) -> torch.Tensor:
    return 255 * torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def test_patches_are_the_classifiers_probabilities(tmp_path: Path) -> None:
    own = classifier(tmp_path)
    maps = explain(noise(), own, "patches")
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, own.logits(noise()).sigmoid().numpy())


def test_gradcam_of_a_linear_head_is_the_evidence_above_its_bias(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    own = classifier(tmp_path)
    with torch.no_grad():  # a head for which the ordinary patch is no evidence either way
        usual = own.network.features(normalise(noise(), own.mean, own.std)).mean((0, 2, 3))
        weight = own.network.head.weight[0, :, 0, 0]
        weight -= usual * (weight @ usual) / (usual @ usual)
    evidence = (own.logits(noise()) - own.network.head.bias.item()).clamp_min(0).numpy()
    assert (evidence == 0).any() and (evidence > 0).any()
    maps = explain(noise(), own, "gradcam")
    np.testing.assert_allclose(maps, evidence / evidence.max((1, 2), keepdims=True), atol=1e-4)


def test_where_saliency_is_dark_pixels_do_not_matter(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    own = classifier(tmp_path, top_k=0.002)  # of 576 patches one counts
    crops = noise(1)
    (own_map,) = explain(crops, own, "saliency")
    assert own_map.shape == (SIDE, SIDE) and own_map.max() == 1
    dark = torch.from_numpy(own_map == 0)
    assert 0.5 < dark.float().mean() < 1
    before = own.logits(crops).flatten()
    best = int(before.argmax())
    changed = torch.where(dark, crops + 20, crops)
    assert own.logits(changed).flatten()[best] == pytest.approx(before[best].item(), abs=1e-4)
    changed = torch.where(dark, crops, crops + 20)
    assert abs(own.logits(changed).flatten()[best] - before[best]) > 1e-3


@pytest.mark.parametrize("changes", [{"pooling": "votes"}, {"architecture": "xception", "depth": 1}])
def test_any_pooling_and_network(tmp_path: Path, changes: dict[str, Any]) -> None:
    pytest.importorskip("captum")
    own = classifier(tmp_path, **changes)
    crops = [Crop(0, i, 0.0, 0.5, noise(1, i)[0].numpy()) for i in range(2)]
    for method in METHODS:
        maps = explain_crops(crops, own, method)
        assert maps.shape == (2, SIDE, SIDE)
        assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1
    assert explain(torch.from_numpy(np.stack([c.pixels for c in crops])), own, "gradcam").shape[1] > 1


def test_a_network_that_sees_nothing_explains_nothing(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    own = classifier(tmp_path, constant=3.0)
    for method in ("gradcam", "saliency"):
        assert not explain(noise(), own, method).any()


def test_explaining_leaves_the_classifier_alone(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    own = classifier(tmp_path)
    crops = noise()
    before = own.logits(crops)
    for method in METHODS:
        explain(crops, own, method)
    assert torch.equal(own.logits(crops), before) and not crops.requires_grad
    assert all(not p.requires_grad and p.grad is None for p in own.network.parameters())


def test_without_captum_only_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    own = classifier(tmp_path)
    explain(noise(), own, "patches")
    with pytest.raises(SetupError, match=r"pip install '\.\[explain\]'"):
        explain(noise(), own, "gradcam")
    with pytest.raises(ValueError, match="unknown method"):
        explain(noise(), own, "lime")


# --------------------------------------------------------------------------- crops of a clip


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Scanner:
    return scanner_with(
        make_weights(tmp_path_factory.mktemp("weights")), ScanSettings(behavior_fps=0, analysis_fps=8)
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "face.mp4", moving_face(), options={"crf": "18"})


def test_the_most_telling_crops_come_first(scanner: Scanner, clip: Path) -> None:
    crops = telling_crops(clip, scanner, 5)
    assert 1 < len(crops) <= 3  # a second has few half seconds
    scores = [crop.score for crop in crops]
    assert scores == sorted(scores, reverse=True)
    times = sorted(crop.time_s for crop in crops)
    assert np.diff(times).min() >= 0.4
    frames = {f.index: f.score for f in scanner.scan(clip, frames=True).frames if f.score is not None}
    assert scores[0] == max(frames.values())
    for crop in crops:
        assert frames[crop.frame_index] == crop.score
        assert crop.time_s == pytest.approx(crop.frame_index / FPS)
        # The very crop that was scored, by the score it gets again.
        logits = scanner.classifier.logits(torch.from_numpy(crop.pixels)[None])
        again = scanner.judge.patch_scale.score(float(scanner.classifier.pool(logits)))
        assert again == pytest.approx(crop.score, abs=1e-3)
    assert telling_crops(clip, scanner, 1)[0].frame_index == crops[0].frame_index


def test_a_crop_at_a_time(scanner: Scanner, clip: Path) -> None:
    (crop,) = telling_crops(clip, scanner, at_s=0.6)
    assert crop.time_s == pytest.approx(0.6, abs=0.07)
    with pytest.raises(NoFaceError, match=r"0:00:09\.0"):
        telling_crops(clip, scanner, at_s=9.0)


def test_clips_without_crops(scanner: Scanner, tmp_path: Path) -> None:
    with pytest.raises(NoFaceError, match=r"nobody.mp4: no face found$"):
        telling_crops(make_clip(tmp_path / "nobody.mp4", pattern(6, WIDTH, HEIGHT)), scanner)
    with pytest.raises(Exception, match="no such file") as caught:
        telling_crops(tmp_path / "gone.mp4", scanner)
    assert caught.value.code == NotFoundError.code  # type: ignore[attr-defined]


def test_in_a_mean_every_clip_counts_once() -> None:
    def crops(values: list[float]) -> tuple[list[Crop], np.ndarray]:
        made = [Crop(0, 0, 0.0, 0.0, np.full((3, 4, 4), 100 * v, np.float32)) for v in values]
        return made, np.stack([np.full((2, 2), v, np.float32) for v in values])

    face, mean = mean_of_clips([crops([0.0, 0.5, 1.0]), crops([1.0])])
    np.testing.assert_allclose(face, np.full((3, 4, 4), 75.0))
    np.testing.assert_allclose(mean, np.full((2, 2), 0.75))
