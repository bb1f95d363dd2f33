"""Transfer tables from known scores, crops cut out of a store, and building a small one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.forge.mesh import astronaut_crop
from tests.manifests import entry
from tests.patches.fixture_weights import register_patches
from tests.training.fake_store import fake_store, row
from vidscan.errors import SetupError
from vidscan.faces.align import CropSpec
from vidscan.models import load_registry
from vidscan.patches.classifier import PatchClassifier
from vidscan.patches.networks import PatchNetwork
from vidscan.training.calibrate import calibrate, genuine_statistics, virtual_clip
from vidscan.training.degrade import Degradation
from vidscan.training.store import STORE_SPEC, Store, build_store
from vidscan.training.transfer import auc, clip_scores, network_crops, patch_logits, transfer_table
from vidscan.verdict.judge import load_judge

NO_CODEC = Degradation(h264=0, h265=0, jpeg=0)


def test_auc_by_hand() -> None:
    assert auc(np.array([0.0, 1.0]), [2.0, 3.0]) == 1.0
    assert auc(np.array([2.0, 3.0]), [0.0, 1.0]) == 0.0
    # of six pairs four are in order and one is level: 4.5 / 6
    assert auc(np.array([1.0, 2.0, 5.0]), [2.0, 6.0]) == pytest.approx(4.5 / 6)


def test_clip_scores_are_the_mean_of_the_upper_half() -> None:
    store = fake_store([row("a1", file="x"), row("a1", file="x"), row("a1", file="x"), row("b1", file="y")])
    scores = clip_scores(store, [0, 1, 2, 3], np.array([1.0, 9.0, 4.0, -2.0]))
    assert scores == {"x": pytest.approx(6.5), "y": -2.0}


def test_transfer_table_by_hand() -> None:
    genuine = [entry(f"g{i}") for i in range(4)]
    swaps = [entry(f"s{i}", "g", method="simswap", family="swap", pair=f"g{i}") for i in range(3)]
    lone = entry("q0", "q", method="flux", family="generated")
    unscored = entry("z0", "z", method="simswap", family="swap")
    scores = {"g0": 0.0, "g1": 1.0, "g2": 2.0, "g3": 3.0, "s0": 2.5, "s1": 2.5, "s2": 1.5, "q0": -1.0}
    table = transfer_table([*genuine, *swaps, lone, unscored], scores)
    assert table["method simswap"] == pytest.approx((3 + 3 + 2) / 12)
    assert table["method other generated"] == 0.0  # fewer than three clips
    assert table["family swap"] == table["method simswap"]
    assert table["family generated"] == 0.0
    assert table["same footage"] == pytest.approx((3 + 3 + 2) / 9)
    assert table["same footage, ranked"] == pytest.approx(2 / 3)
    assert table["mean over methods"] == pytest.approx((8 / 12 + 0) / 2)
    assert table["all"] == pytest.approx(8 / 16)


def test_network_crops_of_the_stores_own_spec_are_the_stores() -> None:
    store = fake_store()
    crops = network_crops(store, [2, 0], STORE_SPEC)
    assert np.array_equal(crops[0].permute(1, 2, 0).numpy(), store.crops[2])
    assert np.array_equal(crops[1].permute(1, 2, 0).numpy(), store.crops[0])


def test_network_crops_show_the_middle() -> None:
    store = fake_store([row("a1")])
    store.crops[0] = 0
    cv2.circle(store.crops[0], (176 + 40, 176), 6, (255, 255, 255), -1)
    spec = CropSpec(size=96, margin=1.2)
    crop = network_crops(store, [0], spec)[0, 0].numpy()
    assert crop.shape == (96, 96)
    # 352 px at margin 2.2 are 160 px a face; 96 px at margin 1.2 are 80
    y, x = (np.indices(crop.shape) * np.clip(crop, 0, 255)).sum((1, 2)) / np.clip(crop, 0, 255).sum()
    assert x == pytest.approx(47.5 + 20.25, abs=0.6)
    assert y == pytest.approx(47.5 + 0.25, abs=0.6)


def test_patch_logits_by_batches() -> None:
    store = fake_store()
    network = PatchNetwork("efficientnet_lite0", 1)
    network.head.bias.data.fill_(1.5)
    logits = patch_logits(network, store, CropSpec(64, 1.2), [127.0] * 3, [128.0] * 3, [0, 1, 2])
    assert logits.shape == (3, 16, 16)
    np.testing.assert_allclose(logits, 1.5)


# --------------------------------------------------------------------------- the store


@pytest.mark.slow
def test_build_store_cuts_the_largest_face_and_passes_over_bad_files(tmp_path: Path) -> None:
    from skimage.data import astronaut

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    cv2.imwrite(str(corpus / "a.png"), astronaut()[:300, 60:400, ::-1])
    cv2.imwrite(str(corpus / "empty.png"), np.full((200, 200, 3), 127, np.uint8))
    (corpus / "broken.png").write_bytes(b"\x89PNG but no picture")
    entries = [
        entry(name, "anna", kind="photo") for name in ("empty.png", "broken.png", "a.png", "missing.png")
    ]
    store = build_store(corpus, entries, tmp_path / "store", frames_per_clip=2, teacher=None)
    assert [r.file for r in store.rows] == ["a.png"]
    assert store.rows[0].identity == "anna"
    assert 60 < store.rows[0].face_px < 200
    assert store.crops.shape == (1, 352, 352, 3)
    assert store.crops.dtype == np.uint8
    assert store.landmarks.shape == (1, 478, 2)
    assert np.isnan(store.landmarks).all()
    assert float(np.asarray(store.crops).std()) > 20
    # a finished store is opened, not built again
    again = build_store(tmp_path / "nowhere", [], tmp_path / "store", frames_per_clip=1, teacher=None)
    assert np.array_equal(again.crops, store.crops)
    assert again.rows == store.rows == Store.open(tmp_path / "store").rows


def test_a_store_without_any_face_is_empty(tmp_path: Path) -> None:
    entries = [entry("missing.png", "anna", kind="photo")]
    store = build_store(tmp_path, entries, tmp_path / "store", frames_per_clip=2, teacher=None)
    assert store.rows == []
    assert store.crops.shape == (0, 352, 352, 3) and store.landmarks.shape == (0, 478, 2)


# --------------------------------------------------------------------------- calibration


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """x264 may code a few blocks otherwise from run to run; all the rest has to be repeatable."""
    monkeypatch.setattr("vidscan.training.calibrate.reencode", lambda images, **_: images)


@pytest.mark.usefixtures("no_encoder")
def test_a_virtual_clip_moves_and_is_repeatable() -> None:
    crops = astronaut_crop(352)[None]
    clips = [virtual_clip(crops, np.random.default_rng(s), NO_CODEC, 64, 1.2) for s in (0, 0, 1)]
    assert clips[0].shape == (24, 64, 64, 3)
    assert clips[0].dtype == np.uint8
    same, other = (np.abs(clips[0].astype(int) - clip).mean() for clip in clips[1:])
    assert same == 0
    assert other > 3.0
    steps = np.abs(np.diff(clips[0].astype(int), axis=0)).mean((1, 2, 3))
    assert (steps > 0).all()
    several = virtual_clip(np.stack([crops[0]] * 5), np.random.default_rng(0), NO_CODEC, 64, 1.2)
    assert len(several) == 5  # a clip's own frames are not repeated


@pytest.mark.usefixtures("no_encoder")
def test_calibration_uses_held_out_genuine_people_once_each(tmp_path: Path) -> None:
    people = [row(f"a{i}", held_out=True) for i in range(3)]
    people += [replace(people[0]), row("b1"), row("f1", held_out=True, genuine=False, method="x")]
    store = fake_store(people)
    classifier = PatchClassifier(register_patches(tmp_path, crop={"size": 48, "margin": 1.2}))
    values, sharpness = genuine_statistics(store, classifier)
    assert values.shape == sharpness.shape == (3,)
    assert np.isfinite(values).all()
    again, _ = genuine_statistics(store, classifier)
    np.testing.assert_array_equal(again, values)


def test_calibrate_registers_a_judge(tmp_path: Path) -> None:
    store = fake_store([row(f"a{i:02}", held_out=True) for i in range(10)])
    record = register_patches(tmp_path, crop={"size": 48, "margin": 1.2})
    found = calibrate(store, record, tmp_path, "v", manipulated_fpr=0.1, uncertain_fpr=0.3)
    assert load_registry(tmp_path).get("verdict") == found
    judge = load_judge(found)
    assert judge.scale.target_fpr == 0.1
    assert len(judge.scale.statistics) == 10
    assert judge.scale.uncertain < judge.scale.manipulated <= judge.scale.statistics[-1]
    assert judge.limits.min_face_px == 48
    with pytest.raises(SetupError, match="10 people cannot set"):
        calibrate(store, record, tmp_path, "v", manipulated_fpr=0.01)


def test_a_missing_teacher_is_a_setup_error(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    from vidscan.errors import SetupError
    from vidscan.training.teacher import Teacher

    with pytest.raises(SetupError, match="no landmark teacher"):
        Teacher(tmp_path / "face_landmarker.task")


def test_scanning_never_imports_the_workshop() -> None:
    import subprocess
    import sys

    code = (
        "import sys, vidscan.scanner\n"
        "unwanted = ('vidscan.forge', 'vidscan.training', 'timm', 'mediapipe')\n"
        "print([m for m in sys.modules if m.startswith(unwanted)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
