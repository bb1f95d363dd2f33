"""Traces of up-sampling in the spectrum, and fingerprints learned from made generators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vidscan.evaluation.forensic_material import resaved, transposed
from vidscan.forensics import fingerprint
from vidscan.forensics.base import Finding
from vidscan.forensics.fingerprint import KIND, Fingerprint, unit, vector
from vidscan.forensics.material import Material
from vidscan.forensics.spectrum import SIDE, Spectrum, mean_spectrum
from vidscan.models import register

Picture = NDArray[np.uint8]


@pytest.fixture
def look(tmp_path: Path) -> Callable[[Picture], Finding]:
    def examined(picture: Picture) -> Finding:
        cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
        return Spectrum().examine(Material(tmp_path / "a.png"))

    return examined


def test_a_transposed_convolution_leaves_its_grid(photo: Picture, look: Callable[[Picture], Finding]) -> None:
    small = cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA)
    finding = look(transposed(small))
    assert finding.score is not None and finding.score > 0.4
    assert "2 pixels" in finding.message
    assert finding.map is not None and not finding.over_frame


def test_a_photograph_and_its_jpeg_have_none(photo: Picture, look: Callable[[Picture], Finding]) -> None:
    assert look(photo).score == 0.0
    assert look(resaved(photo, 60)).score == 0.0


def test_the_grid_is_found_after_scaling(photo: Picture, look: Callable[[Picture], Finding]) -> None:
    made = transposed(cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA))
    scaled = cv2.resize(made, None, fx=1.25, fy=1.25, interpolation=cv2.INTER_CUBIC)
    finding = look(np.asarray(scaled, np.uint8))
    assert finding.score == 1.0
    assert "2.46 pixels" in finding.message or "2.56 pixels" in finding.message


def test_faces_are_looked_at_where_there_are_some(tmp_path: Path, photo: Picture) -> None:
    picture = photo.copy()
    picture[100:260, 120:280] = transposed(
        np.asarray(cv2.resize(photo[100:260, 120:280], (80, 80), interpolation=cv2.INTER_AREA), np.uint8)
    )
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    face = Spectrum().examine(Material(tmp_path / "a.png", faces={0: [(120.0, 100.0, 280.0, 260.0)]}))
    whole = Spectrum().examine(Material(tmp_path / "a.png"))
    assert face.score is not None and whole.score is not None and face.score > whole.score + 0.2


def test_small_material_cannot_tell(look: Callable[[Picture], Finding], photo: Picture) -> None:
    assert look(photo[:90, :90]).code == "too_small"
    assert mean_spectrum(()) is None


def test_a_known_generator_is_named(tmp_path: Path, photo: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def spectrum(picture: Picture) -> NDArray[np.float64]:
        cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
        found = mean_spectrum(Material(tmp_path / "a.png").frames)
        assert found is not None and found.shape == (SIDE, SIDE)
        return vector(found)

    half = np.asarray(cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA), np.uint8)
    genuine = spectrum(photo)
    makers = {"doubler": transposed(half), "coder": resaved(photo, 30)}
    prints = np.stack([unit(spectrum(made) - genuine) for made in makers.values()])
    levels = [round(n / 50, 2) for n in range(51)]
    register(
        tmp_path / "weights",
        "prints",
        {"prints": torch.from_numpy(prints), "genuine": torch.from_numpy(genuine)},
        {"kind": KIND, "generators": list(makers), "levels": levels},
    )
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path / "weights"))
    fingerprint._known.cache_clear()
    try:
        cv2.imwrite(str(tmp_path / "b.png"), np.ascontiguousarray(transposed(half)[:, ::-1, ::-1]))
        finding = Fingerprint().examine(Material(tmp_path / "b.png"))
    finally:
        fingerprint._known.cache_clear()
    assert finding.score is not None and finding.score > 0.5
    assert "is doubler" in finding.message


def test_unit_vectors() -> None:
    made = unit(np.array([1.0, 2.0, 6.0]))
    assert made.sum() == pytest.approx(0) and np.linalg.norm(made) == pytest.approx(1)
    assert not unit(np.ones(4)).any()
