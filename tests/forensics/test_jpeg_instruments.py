"""Dimples, double compression and ghosts, on pictures whose every compression is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from samples.clips import make_clip
from vidscan.evaluation.forensic_material import quantization, resaved, save_jpeg, with_ghost
from vidscan.forensics.base import Finding, Instrument
from vidscan.forensics.blocks import dct, idct, joined, jpeg_coefficients, tiles
from vidscan.forensics.dimples import Dimples
from vidscan.forensics.double import DoubleCompression
from vidscan.forensics.ghosts import Ghosts
from vidscan.forensics.material import Material


def examined(instrument: Instrument, path: Path) -> Finding:
    return instrument.examine(Material(path))


def saved(picture: NDArray[np.uint8], path: Path) -> Path:
    cv2.imwrite(str(path), picture[..., ::-1])
    return path


def pale(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without black and white, which clip what rounding adds."""
    return np.asarray(picture // 2 + 64, np.uint8)


def test_blocks_and_their_transform_come_back(photo: NDArray[np.uint8]) -> None:
    plane = photo[..., 0].astype(np.float32)
    assert np.array_equal(joined(tiles(plane)), plane)
    assert np.abs(idct(dct(tiles(plane))) - tiles(plane)).max() < 1e-3
    flat = dct(np.full((1, 1, 8, 8), 3.0))
    assert flat[0, 0, 0, 0] == pytest.approx(24.0) and np.abs(flat).sum() == pytest.approx(24.0, abs=1e-3)


@pytest.mark.parametrize("quality", [60, 90])
def test_coefficients_of_a_jpeg_are_those_that_were_coded(
    tmp_path: Path, photo: NDArray[np.uint8], quality: int
) -> None:
    path = save_jpeg(photo, tmp_path / "a.jpg", quality)
    found = jpeg_coefficients(path)
    assert found is not None and found.steps.ravel().tolist() == quantization(quality)
    plane = cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb)[..., 0].astype(np.float32)
    wanted = np.rint(dct(tiles(plane - 128)) / found.steps)
    assert (found.levels == wanted).mean() > 0.995


@pytest.mark.parametrize("quality", [75, 92])
@pytest.mark.parametrize(
    ("rounding", "shade"),
    [(np.floor, "dark"), (np.ceil, "bright"), (lambda x: np.floor(x + 0.35), "dark")],
    ids=["floor", "ceil", "part"],
)
def test_dimples_of_encoders_that_do_not_round_to_the_nearest(
    tmp_path: Path, photo: NDArray[np.uint8], quality: int, rounding, shade: str
) -> None:  # type: ignore[no-untyped-def]
    finding = examined(Dimples(), save_jpeg(pale(photo), tmp_path / "a.jpg", quality, rounding))
    assert finding.score == 1.0
    assert finding.map is not None and finding.map.shape == (56, 56)
    assert f"A {shade} dimple at column 0, row 0" in finding.message


@pytest.mark.parametrize("quality", [60, 75, 92])
def test_no_dimples_where_coefficients_are_rounded(
    tmp_path: Path, photo: NDArray[np.uint8], quality: int
) -> None:
    assert examined(Dimples(), save_jpeg(photo, tmp_path / "a.jpg", quality)).score == 0.0
    assert examined(Dimples(), saved(photo, tmp_path / "a.png")).score == 0.0


def test_a_crop_moves_the_dimple_and_a_pasted_part_lacks_it(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    photo = pale(photo)
    dimpled = cv2.imread(str(save_jpeg(photo, tmp_path / "a.jpg", 92, np.floor)))[..., ::-1]
    finding = examined(Dimples(), saved(dimpled[3:, 2:], tmp_path / "b.png"))
    assert finding.score == 1.0
    assert "column 6, row 5" in finding.message and "cropped" in finding.message
    plain = cv2.imread(str(save_jpeg(photo, tmp_path / "c.jpg", 92)))[..., ::-1]
    pasted = dimpled.copy()
    pasted[160:304, 160:304] = plain[160:304, 160:304]
    found = examined(Dimples(), saved(pasted, tmp_path / "d.png")).map
    assert found is not None
    inside = np.zeros(found.shape, bool)
    inside[22:36, 22:36] = True
    outside = np.ones(found.shape, bool)
    outside[18:40, 18:40] = False
    assert found[inside].mean() < 0.25 < 0.7 < found[outside].mean()


@pytest.mark.parametrize(("first", "second"), [(70, 90), (60, 75), (80, 95), (50, 85)])
def test_a_second_compression_shows(
    tmp_path: Path, photo: NDArray[np.uint8], first: int, second: int
) -> None:
    path = save_jpeg(resaved(photo, first), tmp_path / "a.jpg", second)
    finding = examined(DoubleCompression(), path)
    assert finding.score is not None and finding.score > 0.8
    assert "compressed before" in finding.message


@pytest.mark.parametrize("quality", [75, 85, 95])
def test_one_compression_shows_as_one(tmp_path: Path, photo: NDArray[np.uint8], quality: int) -> None:
    finding = examined(DoubleCompression(), save_jpeg(photo, tmp_path / "a.jpg", quality))
    assert finding.score is not None and finding.score < 0.2


def test_pixels_that_were_a_jpeg_once(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    assert examined(DoubleCompression(), saved(photo, tmp_path / "a.png")).score == 0.0
    finding = examined(DoubleCompression(), saved(resaved(photo, 80), tmp_path / "b.png"))
    assert finding.score == 1.0 and "were a JPEG once" in finding.message


def test_a_flat_or_tiny_picture_cannot_tell(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    flat = saved(np.full((400, 400, 3), 90, np.uint8), tmp_path / "flat.png")
    assert examined(DoubleCompression(), flat).code == "too_coarse"
    tiny = saved(photo[:60, :60], tmp_path / "tiny.png")
    codes = [examined(made(), tiny).code for made in (Dimples, DoubleCompression, Ghosts)]
    assert codes == ["too_small"] * 3


@pytest.mark.parametrize("quality", [60, 70])
def test_a_ghost_is_found_where_it_is(tmp_path: Path, photo: NDArray[np.uint8], quality: int) -> None:
    picture, where = with_ghost(photo, quality, 95)
    finding = examined(Ghosts(), saved(picture, tmp_path / "a.png"))
    assert finding.score is not None and finding.score > 0.5
    assert f"quality {quality}" in finding.message
    assert finding.map is not None
    blocks = where[8::16, 8::16][: finding.map.shape[0], : finding.map.shape[1]]
    hot = finding.map > 0.3
    # Flat blocks tell nothing.
    assert (hot & blocks).sum() > 0.9 * hot.sum() and (hot & blocks).sum() > 0.4 * blocks.sum()


@pytest.mark.parametrize("quality", [75, 90])
def test_no_ghost_in_a_picture_saved_once(tmp_path: Path, photo: NDArray[np.uint8], quality: int) -> None:
    assert examined(Ghosts(), saved(resaved(photo, quality), tmp_path / "a.png")).score == 0.0


def test_frames_of_a_clip_are_no_jpeg(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    for instrument in (DoubleCompression(), Ghosts()):
        assert examined(instrument, clip).status == "not_applicable"
