from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from samples.clips import make_clip, pattern
from tests.evaluation.test_evaluation import scored
from vidscan.errors import SetupError
from vidscan.evaluation.filmed_screen import FilmedScreen
from vidscan.evaluation.robustness import (
    CLEAN,
    TREATMENTS,
    Treatment,
    robustness,
    tabulate,
    treat,
)
from vidscan.evaluation.scanning import Scanning, Scored
from vidscan.media import open_video


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_treatments_do_what_they_say() -> None:
    grey = np.full((66, 98, 3), 120, np.uint8)
    image = pattern(1, 98, 66)[0]

    def apply(name: str, frame: np.ndarray) -> np.ndarray:
        return TREATMENTS[name][0](rng())(frame)

    assert apply("half size", image).shape == (32, 48, 3)
    assert np.array_equal(apply("crf 35", image), image)
    noise = apply("noise 3", grey).astype(float) - 120
    assert noise.std() == pytest.approx(3, abs=0.1) and abs(noise.mean()) < 0.1
    spot = np.zeros((65, 65, 3), np.uint8)
    spot[32, 32] = 255
    for sigma in (1, 2):
        assert apply(f"blur {sigma}", spot)[32, 32, 0] == pytest.approx(255 / (2 * np.pi * sigma**2), rel=0.1)
    difference = np.abs(apply("JPEG 50", image).astype(int) - image)
    assert 0.5 < difference.mean() < 10
    other = {name: crf for name, (_, crf) in TREATMENTS.items() if crf != 18}
    assert other == {"crf 35": 35, "crf 40": 40, "filmed screen": 23}


def test_a_filmed_screen_looks_the_same_from_afar_and_not_from_near() -> None:
    image = cv2.resize(pattern(1, 98, 66)[0], (294, 198), interpolation=cv2.INTER_CUBIC)
    takes = [FilmedScreen(np.random.default_rng(seed)) for seed in range(5)]
    for take in takes:
        seen = take(image)
        assert seen.shape == image.shape and seen.dtype == np.uint8
        small = [
            cv2.resize(picture, (33, 22), interpolation=cv2.INTER_AREA).ravel() for picture in (image, seen)
        ]
        assert np.corrcoef(*small)[0, 1] > 0.85
        # One take: frames differ by noise alone.
        assert 0.5 < np.abs(take(image).astype(float) - seen).mean() < 5
    first, other = (take(image).astype(float) for take in takes[:2])
    assert np.abs(first - other).mean() > 5


def test_stripes_of_a_screen_keep_its_light() -> None:
    take = FilmedScreen(np.random.default_rng(1))
    for level in (40, 128, 220):
        grey = np.full((120, 160, 3), level, np.uint8)
        light = (take(grey)[30:90, 40:120] / 255.0) ** 2.2
        wanted = (level / 255) ** 2.2
        assert 0.7 * wanted < light.mean() < 1.2 * wanted + 0.03


def test_treated_clips_have_the_sources_frames(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", pattern(5))
    treat(Treatment(source, tmp_path / "b.mp4", "half size"))
    with open_video(tmp_path / "b.mp4") as video:
        assert (video.info.width, video.info.height) == (48, 32)
        assert len(next(iter(video)).times) == 5


def clips(shift: float = 0.0) -> list[Scored]:
    genuine = [
        scored(f"g{i}", float(i), label="manipulated" if shift and i == 5 else "no_manipulation_found")
        for i in range(6)
    ]
    forged = [scored(f"f{i}", i + 2.5 - shift, method="A", pair=f"g{i}", person=f"g{i}") for i in range(3)]
    return genuine + forged


def test_rows_by_hand() -> None:
    rows = tabulate(clips(), {"worse": clips(2.0)}, ["g4", "g5"])
    clean, worse = rows
    assert [r.name for r in rows] == [CLEAN, "worse"]
    # forged at 2.5, 3.5, 4.5; originals at 0, 1, 2; the list at 4, 5
    assert (clean.pairs.auc, clean.listed.auc) == (1.0, pytest.approx(1 / 6))
    assert clean.pairs.lost == 0.0 and clean.pairs.lost_interval == (0.0, 0.0)
    # forged at .5, 1.5, 2.5
    assert worse.pairs.auc == pytest.approx(6 / 9)
    assert worse.pairs.lost == pytest.approx(3 / 9)
    assert worse.listed.lost == pytest.approx(1 / 6)
    assert worse.pairs.lost_interval[0] <= worse.pairs.lost <= worse.pairs.lost_interval[1]
    assert (worse.false_alarms.count, worse.false_alarms.of) == (1, 2)
    assert clean.false_alarms.count == 0


def test_faceless_clips_are_counted() -> None:
    gone = [Scored(s.entry, -np.inf, "no_face", None) for s in clips()]
    worse = tabulate(clips(), {"gone": gone}, ["g4", "g5"])[1]
    assert worse.faceless == 9
    assert worse.pairs.auc == 0.5


def test_pairs_are_needed(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="same footage"):
        robustness(tmp_path, [scored("g", 0.0)], ["g"], tmp_path, Scanning(), lambda name, n: lambda: None)
