"""Faces with more, less and as much noise as their scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidscan.forensics.material import Material
from vidscan.forensics.noise import NoiseConsistency, compare
from vidscan.forensics.windows import grey
from vidscan.media.writer import write_png

BOX = (160.0, 120.0, 320.0, 280.0)


def frame(face: float, scene: float = 3.0) -> np.ndarray:
    """A slowly changing scene of 480 x 400 with known deviations of the noise."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:400, :480]
    picture = 120 + 40 * np.sin(x / 70) + 30 * np.cos(y / 50)
    deviation = np.full(picture.shape, scene)
    deviation[120:280, 160:320] = face
    noisy = picture + rng.normal(size=picture.shape) * deviation
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


@pytest.mark.parametrize("face", [1.0, 3.0, 9.0])
def test_the_ratio_is_that_of_the_noise(face: float) -> None:
    found = compare(grey(frame(face)), (BOX,))
    assert found is not None
    assert found.ratio == pytest.approx(face / 3, rel=0.25)
    if face == 3:
        assert abs(found.area - 0.5) < 0.15
    else:
        assert (found.area > 0.95) if face > 3 else (found.area < 0.05)
    inside = np.zeros(found.map.shape, bool)
    inside[8:17, 11:19] = True
    assert (abs(found.map[inside].mean()) > 4) == (face != 3)
    assert abs(found.map[~inside].mean()) < 4


def test_too_little_to_compare() -> None:
    picture = grey(frame(3.0))
    assert compare(picture, ((0.0, 0.0, 480.0, 400.0),)) is None
    assert compare(picture, ((10.0, 10.0, 30.0, 30.0),)) is None
    assert compare(picture, ()) is None


def test_findings(tmp_path: Path) -> None:
    write_png(tmp_path / "spliced.png", frame(9.0))
    write_png(tmp_path / "plain.png", frame(3.0))
    instrument = NoiseConsistency()
    spliced, plain = (
        instrument.examine(Material(tmp_path / name, faces={0: [BOX]}))
        for name in ("spliced.png", "plain.png")
    )
    assert spliced.status == plain.status == "ok"
    assert spliced.score is not None and plain.score is not None
    assert spliced.score > 0.9 and plain.score < 0.3
    assert spliced.map is not None and spliced.map.shape == (25, 30)
    assert spliced.map[9:16, 12:18].mean() > 0.9 and spliced.map[:6].mean() < 0.5
    assert "times the noise of the scene" in spliced.message
    without = instrument.examine(Material(tmp_path / "plain.png"))
    assert without.status == "insufficient" and without.code == "no_face"
    crowded = instrument.examine(Material(tmp_path / "plain.png", faces={0: [(0, 0, 480, 400)]}))
    assert crowded.code == "too_small"
