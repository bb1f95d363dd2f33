"""Masks: from grid to frame and back, as pictures, as a lossless video, and on the way to whoever draws."""

from __future__ import annotations

import json
import logging
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from samples.clips import make_clip, pattern
from vidscan.faces.align import (
    TEMPLATE,
    CropSpec,
    align,
    apply_affine,
    crop_transform,
    invert_affine,
    to_frame,
)
from vidscan.media import open_video
from vidscan.models import file_sha256
from vidscan.patches.networks import PatchNetwork, receptive_grid
from vidscan.report.masks import MaskFormat, MaskWriter, estimate_bytes, render
from vidscan.report.spool import RegionSpool
from vidscan.sinks import FrameSinks
from vidscan.types import CellGrid, FaceMap, FrameMaps, ModelRef, VideoInfo

INFO = VideoInfo("mp4", "h264", 64, 48, 25.0, 1.0, 0, False, "pyav")
SHA = "0123456789abcdef" * 4
MODELS = (ModelRef("patches", "ab" * 32),)
SPEC = CropSpec(224, 1.2)


def turned(scale: float, angle: float, x: float, y: float, size: int = 224) -> NDArray[np.float64]:
    """A map to crop pixels, ``scale`` of them a frame pixel, with (x, y) in the crop's middle."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[c, s], [-s, c]])
    return np.hstack([linear, ((size - 1) / 2 - linear @ [x, y])[:, None]])


def region(seed: int = 0, track: int = 1, x: float = 30.0, grid: CellGrid | None = None) -> FaceMap:
    cells = np.random.default_rng(seed).uniform(0, 1, (7, 7)).astype(np.float32)
    return FaceMap(track, cells, turned(2.0, 0.2, x, 24, 56), 56, grid)


# --------------------------------------------------------------------------- geometry


@settings(max_examples=25, deadline=None)
@given(
    st.floats(60, 260), st.floats(-0.6, 0.6), st.floats(-60, 60), st.floats(-30, 30), st.floats(0.2, 0.8),
    st.floats(0.2, 0.8),
)  # fmt: skip
def test_a_frame_pixel_comes_back_from_the_crop(
    side: float, angle: float, dx: float, dy: float, u: float, v: float
) -> None:
    width, height = 480, 400
    inverse = invert_affine(turned(112 / side, angle, 240 + dx, 200 + dy, 112))
    points = apply_affine(inverse, TEMPLATE)
    to_crop = crop_transform(points[None], SPEC)
    known = apply_affine(invert_affine(to_crop), np.array([[[u * 223, v * 223]]]))[0, 0]
    assert np.abs(apply_affine(to_crop, known[None, None])[0, 0] - [u * 223, v * 223]).max() < 1e-6
    # Through pixels: a soft spot in the frame, its crop, and its place in the crop brought back.
    y, x = np.mgrid[:height, :width]
    spread = max(2.0, side / 50)
    spot = 250 * np.exp(-((x - known[0]) ** 2 + (y - known[1]) ** 2) / (2 * spread**2))
    image = torch.from_numpy(np.repeat(spot[None, ..., None], 3, -1).astype(np.float32))
    crop = align(image, [0], to_crop, SPEC)[0, 0].double().numpy()
    rows, columns = np.mgrid[:224, :224]
    weight = np.where(crop > 5, crop, 0)
    found = np.array([[(weight * columns).sum(), (weight * rows).sum()]]) / weight.sum()
    assert np.abs(apply_affine(invert_affine(to_crop), found[None])[0, 0] - known).max() < 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 23), st.integers(3, 23), st.floats(0.3, 3), st.floats(-0.7, 0.7), st.booleans())
def test_a_hot_cell_is_hottest_where_it_belongs(
    i: int, j: int, scale: float, angle: float, placed: bool
) -> None:
    grid = CellGrid(8.0, 7.0) if placed else None
    cells = np.zeros((28, 28), np.float32)
    cells[i, j] = 1
    side = int(330 / scale) + 20
    to_crop = turned(scale, angle, side / 2, side / 2)
    pasted, _ = to_frame(cells, to_crop, 224, (side, side), grid)
    y, x = np.unravel_index(int(pasted.argmax()), pasted.shape)
    peak = apply_affine(to_crop[None], np.array([[[x, y]]], float))[0, 0]
    belongs = np.array([j, i]) * 8 + (7.0 if placed else 3.5)
    assert np.abs(peak - belongs).max() <= max(4.0, scale)


@pytest.mark.parametrize(
    ("architecture", "depth", "size"),
    [
        ("efficientnet_lite0", 1, 64),
        ("efficientnet_lite0", 2, 96),
        ("efficientnet_lite0", 2, 99),
        ("xception", 1, 67),
        ("resnet18", 1, 64),
    ],
)
def test_fields_are_centred_where_the_grid_says(architecture: str, depth: int, size: int) -> None:
    network = PatchNetwork(architecture, depth).double().eval()
    for name, values in network.named_parameters():
        values.data.fill_(0.0 if name.endswith("bias") else 0.3 / values[0].numel())
    grid = receptive_grid(network, size)
    picture = torch.full((1, 3, size, 24), 0.5, dtype=torch.float64)  # down the crop; across is the same
    base = network(picture)[0, 0]
    middle = base.shape[0] // 2
    reach = []
    for row in range(size):
        changed = picture.clone()
        changed[:, :, row] += 0.25
        with torch.no_grad():
            reach.append(float((network(changed)[0, 0, middle] - base[middle]).abs().max()) > 1e-15)
    seen = np.flatnonzero(reach)
    assert seen[0] > 0 and seen[-1] < size - 1
    assert (seen[0] + seen[-1]) / 2 == grid.offset + middle * grid.stride


# --------------------------------------------------------------------------- drawing


def test_a_map_of_one_cell_fills_its_crop() -> None:
    to_crop = np.float64([[1, 0, -10], [0, 1, -20]])
    one = FaceMap(0, np.full((1, 1), 0.6, np.float32), to_crop, 64)
    mask = render((120, 100), [one])
    assert set(np.unique(mask[25:80, 15:70])) == {153}
    assert mask[:18].max() == mask[:, 80:].max() == 0


def test_the_larger_wins_where_faces_overlap() -> None:
    shape = (48, 64)
    one, two = region(1), region(2, 2, 36.0)
    both = render(shape, [one, two])
    assert np.array_equal(both, np.maximum(render(shape, [one]), render(shape, [two])))
    assert both.any() and not render(shape, []).any()


def test_masks_are_the_cells_without_steps() -> None:
    cells = np.zeros((7, 7), np.float32)
    cells[:, 4:] = 1
    mask = render((112, 112), [FaceMap(1, cells, turned(0.5, 0, 55.5, 55.5, 56), 56)]).astype(int)
    assert mask[56, 8] == 0 and mask[56, 104] == 255
    assert np.diff(mask[56]).max() < 40  # a cell spans 16 pixels: no step of 255


# --------------------------------------------------------------------------- files


def write(folder: Path, format: MaskFormat, times: list[float], gaps: set[int], every: int = 0) -> list:
    with MaskWriter(folder, every=every, format=format) as writer:
        writer.begin(INFO, SHA, "clip.mp4")
        names = [
            writer.write(FrameMaps(n, t, (48, 64), tuple([] if n in gaps else [region(n)]), n % 2 == 1))
            for n, t in enumerate(times)
        ]
        writer.close(MODELS)
    return names


def test_a_mask_video_is_exact_and_in_step_with_the_clip(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.13, 0.2, 0.36, 0.4]
    names = write(tmp_path, "video", times, {1, 4})
    folder = tmp_path / "clip-01234567"
    assert names == [None if n in (1, 4) else f"{folder.name}/masks.mkv" for n in range(6)]
    with open_video(folder / "masks.mkv") as source:
        chunks = list(source)
    images = np.concatenate([chunk.images for chunk in chunks])
    assert np.concatenate([chunk.times for chunk in chunks]) == pytest.approx(times, abs=1e-3)
    assert images.shape == (6, 48, 64, 3)
    for n, image in enumerate(images):
        expected = render((48, 64), [] if n in (1, 4) else [region(n)])
        assert np.array_equal(image, np.repeat(expected[..., None], 3, -1))
    index = json.loads((folder / "masks.json").read_text())
    assert index["format"] == "video" and index["models"][0]["name"] == "patches"
    assert [(f["index"], f["position"], f["interpolated"]) for f in index["frames"]] == [
        (0, 0, False), (2, 2, False), (3, 3, True), (5, 5, True),
    ]  # fmt: skip


def test_a_thinned_mask_video_says_which_frames_it_holds(tmp_path: Path) -> None:
    write(tmp_path, "video", [n / 25 for n in range(9)], {4}, every=4)
    index = json.loads((tmp_path / "clip-01234567" / "masks.json").read_text())
    assert index["every"] == 4
    assert [(f["index"], f["position"]) for f in index["frames"]] == [(0, 0), (8, 2)]


def test_the_other_formats_files_go(tmp_path: Path) -> None:
    write(tmp_path, "video", [0.0, 0.1], set())
    write(tmp_path, "png", [0.0, 0.1], {1})
    folder = tmp_path / "clip-01234567"
    assert sorted(p.name for p in folder.iterdir()) == ["000000.png", "masks.json"]
    write(tmp_path, "video", [0.0], set())
    assert sorted(p.name for p in folder.iterdir()) == ["masks.json", "masks.mkv"]


def test_a_clip_without_a_face_has_an_empty_index(tmp_path: Path) -> None:
    write(tmp_path, "png", [0.0], {0})
    index = json.loads((tmp_path / "clip-01234567" / "masks.json").read_text())
    assert index["frames"] == [] and index["scale"] == 255


@pytest.mark.parametrize("format", ["png", "video"])
def test_a_clip_that_breaks_off_leaves_no_index(tmp_path: Path, format: MaskFormat) -> None:
    writer = MaskWriter(tmp_path, format=format)
    with pytest.raises(KeyError), writer:
        writer.begin(INFO, SHA, "broken.mp4")
        writer.write(FrameMaps(0, 0.0, (48, 64), (region(),), False))
        raise KeyError
    assert [p.suffix for p in (tmp_path / "broken-01234567").iterdir()] == [".png"] * (format == "png")
    # and the writer goes on to the next clip, also without having left
    writer.begin(INFO, SHA, "broken.mp4")
    writer.write(FrameMaps(0, 0.0, (48, 64), (region(),), False))
    writer.begin(INFO, SHA, "next.mp4")
    writer.write(FrameMaps(0, 0.0, (48, 64), (region(),), False))
    writer.close(MODELS)
    assert not list(tmp_path.rglob(".*"))
    assert len(json.loads((tmp_path / "next-01234567" / "masks.json").read_text())["frames"]) == 1


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gif"):
        MaskWriter(tmp_path, format="gif")  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["png", "video"])
@pytest.mark.parametrize("size", [(64, 48), (320, 240)])
def test_the_disk_use_said_beforehand_is_not_exceeded(
    tmp_path: Path, format: MaskFormat, size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    width, height = size
    info = VideoInfo("mp4", "h264", width, height, 25.0, 0.4, 0, False, "pyav")
    to_crop = turned(200 / width, 0.2, width / 2, height / 2)
    rng = np.random.default_rng(0)
    with caplog.at_level(logging.INFO), MaskWriter(tmp_path, format=format) as writer:
        writer.begin(info, SHA, "clip.mp4")
        for n in range(10):
            cells = rng.uniform(0, 1, (28, 28)).astype(np.float32)
            writer.write(FrameMaps(n, n / 25, (height, width), (FaceMap(1, cells, to_crop, 224),), False))
        writer.close(MODELS)
    used = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    said = estimate_bytes(info, 0, format)
    assert said is not None and 0.2 * said < used <= said
    assert "at most" in caplog.text and "free" in caplog.text


def test_disk_use_of_pictures_streams_and_thinned_masks() -> None:
    picture = VideoInfo("png", "png", 640, 480, None, None, 0, False, "opencv")
    endless = VideoInfo("mpegts", "h264", 640, 480, 25.0, None, 0, False, "pyav")
    whole, tenth = estimate_bytes(INFO), estimate_bytes(INFO, 10)
    assert estimate_bytes(endless) is None
    assert whole is not None and tenth is not None and whole > 5 * tenth
    assert 0 < (estimate_bytes(picture) or 0) < 640 * 480 + 2000


# --------------------------------------------------------------------------- the spool


def test_the_spool_gives_back_what_it_was_given() -> None:
    with RegionSpool() as spool:
        spool.begin(INFO, SHA, "clip.mp4")
        given_regions = {}
        for n in range(12):
            if n == 5:
                assert spool.write(FrameMaps(n, n / 25, (48, 64), (), False)) is None
                continue
            # Track 1 carries its grid over, track 2 has another in each frame.
            maps = [region(n // 4, 1, 20.0 + n), region(100 + n, 2, 50.0, CellGrid(8.0, 7.0))]
            given_regions[n] = maps[: 1 + n % 2]
            spool.write(FrameMaps(n, n / 25, (48, 64), tuple(given_regions[n]), n % 4 != 0))
        spool.close(MODELS)
        for _ in range(2):  # as often as wanted
            frames = list(spool)
            assert [frame.index for frame in frames] == list(given_regions)
            for frame in frames:
                assert frame.time_s == frame.index / 25
                assert frame.interpolated == (frame.index % 4 != 0)
                for found, known in zip(frame.faces, given_regions[frame.index], strict=True):
                    assert (found.track_id, found.crop_size) == (known.track_id, known.crop_size)
                    assert found.grid == known.grid
                    assert np.array_equal(found.to_crop, known.to_crop)
                    assert np.abs(found.probability - known.probability).max() < 1 / 1024
        spool.begin(INFO, SHA, "another.mp4")
        assert list(spool) == []
    with pytest.raises(ValueError, match="released"):
        list(spool)


def test_the_spool_keeps_nothing_in_memory_and_carried_grids_once() -> None:
    cells = np.random.default_rng(0).uniform(0, 1, (28, 28)).astype(np.float32)
    item = FaceMap(1, cells, turned(1, 0, 30, 24), 224)
    with RegionSpool() as spool:
        spool.begin(INFO, SHA, "clip.mp4")
        spool.write(FrameMaps(0, 0.0, (48, 64), (item,), False))
        tracemalloc.start()
        for n in range(1, 3001):
            spool.write(FrameMaps(n, n / 25, (48, 64), (item,), True))
        for frame in spool:
            assert len(frame.faces) == 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert frame.index == 3000
        assert peak < 200_000  # the grids of all frames would be 4.7 MB
        assert spool.bytes < 3001 * 200 + 2 * cells.size


def test_sinks_are_all_told_and_the_first_name_counts(tmp_path: Path) -> None:
    with RegionSpool() as spool, MaskWriter(tmp_path) as writer:
        both = FrameSinks(spool, writer)
        both.begin(INFO, SHA, "clip.mp4")
        assert both.write(FrameMaps(0, 0.0, (48, 64), (region(),), False)) == "clip-01234567/000000.png"
        both.close(MODELS)
        assert [frame.index for frame in spool] == [0]
    assert cv2.imread(str(tmp_path / "clip-01234567" / "000000.png"), cv2.IMREAD_UNCHANGED).shape == (48, 64)


def test_masks_of_a_real_clip_have_its_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "odd.mkv", pattern(5, 97, 63), codec="ffv1", pix_fmt="bgr0")
    with open_video(clip) as source, MaskWriter(tmp_path / "m", format="video") as writer:
        writer.begin(source.info, file_sha256(clip), clip)
        for chunk in source:
            for n, time_s in enumerate(chunk.times):
                writer.write(
                    FrameMaps(chunk.first_index + n, float(time_s), chunk.images.shape[1:3], (), False)
                )
        writer.close(MODELS)
    (film,) = (tmp_path / "m").rglob("masks.mkv")
    with open_video(film) as source:
        images = np.concatenate([chunk.images for chunk in source])
    assert images.shape == (5, 63, 97, 3) and not images.any()
