from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from vidscan.faces.align import (
    TEMPLATE,
    CropSpec,
    align,
    apply_affine,
    box_transform,
    crop_transform,
    invert_affine,
    similarity,
    to_frame,
)
from vidscan.faces.geometry import TEMPLATE_SIDE, native_transforms, similarity_scale

from .scenes import astronaut

POINTS = np.array([[204.5, 100.7], [246.8, 103.3], [225.2, 128.7], [201.8, 139.5], [244.8, 141.7]])
"""The astronaut's five points."""


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def reduction(n_in: int, n_out: int) -> np.ndarray:
    """(n_out, n_in) weights of an antialiased bicubic reduction."""
    ratio = n_in / n_out
    weights = np.zeros((n_out, n_in))
    for row in range(n_out):
        centre = (row + 0.5) * ratio
        first = max(int(centre - 2 * ratio + 0.5), 0)
        last = min(int(centre + 2 * ratio + 0.5), n_in)
        taps = cubic((np.arange(first, last) - centre + 0.5) / ratio, -0.5)
        weights[row, first:last] = taps / taps.sum()
    return weights


def reference_align(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """The maths of ``align`` for one crop, in float64 and over the whole frame."""
    h, w = image.shape[:2]
    back = invert_affine(transform)
    step = math.sqrt(abs(np.linalg.det(back[:, :2])))
    source, rw, rh = image.astype(np.float64), w, h
    if step > 1:
        rh, rw = math.ceil(h / step), math.ceil(w / step)
        source = np.einsum("ri,ijc->rjc", reduction(h, rh), source)
        source = np.einsum("rj,ijc->irc", reduction(w, rw), source)
    y, x = np.mgrid[:size, :size].astype(np.float64)
    fx = (back[0, 0] * x + back[0, 1] * y + back[0, 2] + 0.5) * (rw / w) - 0.5
    fy = (back[1, 0] * x + back[1, 1] * y + back[1, 2] + 0.5) * (rh / h) - 0.5
    out = np.zeros((size, size, 3))
    ix, iy = np.floor(fx).astype(int), np.floor(fy).astype(int)
    for dy in range(-1, 3):
        for dx in range(-1, 3):
            weight = cubic(fx - (ix + dx), -0.75) * cubic(fy - (iy + dy), -0.75)
            out += weight[..., None] * source[(iy + dy).clip(0, rh - 1), (ix + dx).clip(0, rw - 1)]
    return out.clip(0, 255)


def crop_of(image: np.ndarray, points: np.ndarray, spec: CropSpec) -> np.ndarray:
    out = align(torch.from_numpy(image[None]), np.zeros(1, int), crop_transform(points[None], spec), spec)
    return out[0].permute(1, 2, 0).numpy()


angles = st.floats(-math.pi, math.pi)
zooms = st.floats(0.05, 20.0)
shifts = st.floats(-4000, 4000)


@settings(deadline=None, max_examples=60)
@given(angles, zooms, shifts, shifts, st.integers(0, 10_000))
def test_similarity_is_scikit_images(angle, zoom, tx, ty, seed):
    true = SimilarityTransform(scale=zoom, rotation=angle, translation=(tx, ty))
    noise = np.random.default_rng(seed).normal(0, 2.0, TEMPLATE.shape)
    source = true(TEMPLATE) + noise * zoom
    ours = similarity(source[None], TEMPLATE)[0]
    theirs = SimilarityTransform()
    assert theirs.estimate(source, TEMPLATE)
    np.testing.assert_allclose(apply_affine(ours, source), theirs(source), atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(angles, st.floats(0.1, 20.0), shifts, shifts, st.sampled_from([112, 224, 299]), st.floats(1.0, 2.5))
def test_crop_and_back_is_exact(angle, zoom, tx, ty, size, margin):
    spec = CropSpec(size, margin)
    points = SimilarityTransform(scale=zoom, rotation=angle, translation=(tx, ty))(TEMPLATE)
    transform = crop_transform(points[None], spec)[0]
    np.testing.assert_allclose(apply_affine(transform, points), spec.points, atol=1e-4)
    back = apply_affine(invert_affine(transform), spec.points)
    np.testing.assert_allclose(back, points, atol=1e-4)


def test_spec_centres_the_template_and_honours_margin():
    tight, wide = CropSpec(112, 1.0), CropSpec(224, 2.0)
    np.testing.assert_allclose(tight.points, TEMPLATE)
    np.testing.assert_allclose(wide.points - 111.5, TEMPLATE - 55.5)
    with pytest.raises(ValueError, match="margin"):
        CropSpec(224, 0.0)


def test_profile_keeps_scale_and_broken_points_take_the_box():
    spec = CropSpec(224, 1.3)
    box = np.array([[181.5, 63.0, 264.5, 172.5]])
    scale = lambda t: math.sqrt(np.linalg.det(t[0, :, :2]))  # noqa: E731
    frontal = scale(crop_transform(POINTS[None], spec, box))
    assert frontal == pytest.approx(scale(box_transform(box, spec)), rel=0.1)
    profile = POINTS.copy()
    profile[:, 0] = 225 + 0.15 * (profile[:, 0] - 225)
    assert scale(crop_transform(profile[None], spec)) == pytest.approx(frontal, rel=0.35)
    for broken in (np.full((1, 5, 2), 200.0), np.full((1, 5, 2), np.nan)):
        np.testing.assert_allclose(crop_transform(broken, spec, box), box_transform(box, spec))
        with pytest.raises(ValueError, match="no box"):
            crop_transform(broken, spec)
    tiny = 225 + 0.1 * (POINTS[None] - 225)
    assert scale(crop_transform(tiny, spec, box)) == pytest.approx(1.5 * scale(box_transform(box, spec)))


@pytest.mark.parametrize(
    ("size", "margin", "zoom"), [(224, 1.3, 1.0), (112, 1.3, 2.0), (96, 1.0, 3.3), (64, 5.0, 1.0)]
)
def test_agrees_with_the_reference_to_one_grey_level(size, margin, zoom):
    image = cv2.resize(astronaut(), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    spec = CropSpec(size, margin)
    points = (POINTS + 0.5) * zoom - 0.5
    expected = reference_align(image, crop_transform(points[None], spec)[0], size)
    # The grid that a region is reduced to starts at the region's corner, the reference's at the
    # frame's: the two agree on average, and to the pixel only in the next test.
    got = crop_of(image, points, spec)
    difference = np.abs(got - expected)
    assert difference.mean() < 1.5
    if zoom == 1.0 and margin == 1.3:
        assert difference.max() < 1.0


@pytest.mark.parametrize("step", [1.37, 2.0, 4.6])
def test_reduction_agrees_with_the_reference_where_the_region_is_the_frame(step):
    image = astronaut()[:200, 140:340]
    size = int(200 / step) + 8
    angle = 0.2
    linear = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / step
    transform = np.concatenate([linear, ((size - 1) / 2 - linear @ [99.5, 99.5])[:, None]], axis=1)
    got = align(torch.from_numpy(image[None].copy()), np.zeros(1, int), transform[None], CropSpec(size, 1.0))
    expected = reference_align(image, transform, size)
    assert np.abs(got[0].permute(1, 2, 0).numpy() - expected).max() < 1.0


def test_the_same_face_looks_the_same_at_any_size():
    spec = CropSpec(96, 1.3)
    rng = np.random.default_rng(0)
    # Fine texture that aliases without a low-pass.
    big = cv2.resize(astronaut(), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    big = (big + rng.normal(0, 25, big.shape)).clip(0, 255).astype(np.uint8)
    crops = []
    for zoom in (4, 2, 1):
        image = cv2.resize(big, None, fx=zoom / 4, fy=zoom / 4, interpolation=cv2.INTER_AREA)
        crops.append(crop_of(image, (POINTS + 0.5) * zoom - 0.5, spec))
    assert np.abs(crops[0] - crops[1]).mean() < 1.5
    assert np.abs(crops[0] - crops[2]).mean() < 3.0
    laplace = [float(np.abs(cv2.Laplacian(c.mean(axis=2), cv2.CV_32F)).mean()) for c in crops]
    assert max(laplace) / min(laplace) < 1.35


def test_crops_follow_their_frames_and_float_equals_uint8():
    spec = CropSpec(64, 1.3)
    frames = np.stack([astronaut(), 255 - astronaut()])
    maps = np.repeat(crop_transform(POINTS[None], spec), 3, axis=0)
    got = align(torch.from_numpy(frames), np.array([1, 0, 1]), maps, spec)
    assert got.shape == (3, 3, 64, 64)
    assert got.dtype == torch.float32
    assert torch.equal(got[0], got[2])
    torch.testing.assert_close(got[0], 255 - got[1], atol=0.1, rtol=0)
    torch.testing.assert_close(align(torch.from_numpy(frames).float(), [1, 0, 1], maps, spec), got)
    assert align(torch.from_numpy(frames), np.zeros(0, int), np.zeros((0, 2, 3)), spec).shape == (
        0,
        3,
        64,
        64,
    )


@given(
    st.floats(-math.pi, math.pi),
    st.floats(0.1, 4.0),
    st.floats(-50, 700),
    st.floats(-50, 500),
    st.integers(60, 900),
    st.integers(60, 700),
)
def test_native_crops_keep_the_frames_pixels(angle, zoom, x, y, width, height):
    spec, largest = CropSpec(224, 1.4), 240.0
    points = TEMPLATE @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    aligned = crop_transform((points * zoom + (x, y))[None], spec)
    native = native_transforms(aligned, spec, (width, height), largest)
    scale = similarity_scale(native)[0]
    face = TEMPLATE_SIDE * zoom
    # Upright; never enlarged, and reduced only where the face is larger than asked for.
    assert native[0, 0, 1] == native[0, 1, 0] == 0 and native[0, 0, 0] == native[0, 1, 1] == scale
    assert scale == pytest.approx(min(1.0, largest / face))
    corners = apply_affine(invert_affine(native), np.array([[[-0.5, -0.5], [223.5, 223.5]]]))[0]
    if scale == 1:
        assert np.allclose(corners + 0.5, np.round(corners + 0.5), atol=1e-6)  # whole pixels
    for low, high, length in zip(*corners, (width, height), strict=True):
        if high - low <= length:
            assert low >= -0.5 - 1e-6 and high <= length + 0.5 + 1e-6
        else:
            assert abs((low + high + 1) / 2 - length / 2) <= 1  # the frame in the middle
    # Where the frame has room about it, the face is in the middle.
    centre = apply_affine(invert_affine(aligned), np.full((1, 1, 2), 111.5))[0, 0]
    room = 113 / scale
    if (centre > room).all() and (centre < np.array([width, height]) - 1 - room).all():
        middle = apply_affine(native, centre[None, None])[0, 0]
        assert np.abs(middle - 111.5).max() <= 1


def test_a_native_crop_is_a_piece_of_its_frame():
    frame = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    spec = CropSpec(224, 1.4)
    aligned = box_transform(np.array([[200.0, 150, 290, 260]]), spec)
    native = native_transforms(aligned, spec, (500, 400), 240)
    (crop,) = align(torch.from_numpy(frame[None]), np.zeros(1, int), native, spec)
    x, y = (-native[0, :, 2]).astype(int)
    assert np.array_equal(crop.permute(1, 2, 0).numpy(), frame[y : y + 224, x : x + 224])


def test_beyond_the_frame_the_border_is_repeated():
    image = np.full((1, 40, 60, 3), 90, np.uint8)
    for x in (-500, 0, 30, 500):
        maps = np.array([[[0.5, 0, 16 - 0.5 * x], [0, 0.5, 8]]])
        assert torch.allclose(
            align(torch.from_numpy(image), [0], maps, CropSpec(32, 1.0)), torch.tensor(90.0), atol=0.01
        )


def test_wrong_shapes_are_refused():
    image, spec = torch.zeros((1, 8, 8, 3), dtype=torch.uint8), CropSpec(8, 1.0)
    eye = np.array([[[1.0, 0, 0], [0, 1, 0]]])
    for arguments in ((image[0], [0], eye), (image, [0, 0], eye), (image, [0], eye * np.nan)):
        with pytest.raises(ValueError, match=r"images|indices|finite"):
            align(*arguments, spec)
    with pytest.raises(ValueError, match="points"):
        crop_transform(np.zeros((5, 2)), spec)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_cpu():
    image = torch.from_numpy(astronaut()[None])
    for spec in (CropSpec(224, 1.3), CropSpec(48, 1.3)):
        maps = crop_transform(POINTS[None], spec)
        cpu, gpu = align(image, [0], maps, spec), align(image.cuda(), [0], maps, spec)
        assert float((cpu - gpu.cpu()).abs().max()) < 1.0


def test_to_frame_puts_cells_where_they_belong():
    size, shape = 224, (300, 400)
    angle, zoom = 0.3, 1.4
    linear = zoom * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    transform = np.concatenate([linear, (111.5 - linear @ [200.0, 150.0])[:, None]], axis=1)
    # A linear ramp over the crop must come back as the same ramp over the frame.
    cells = (np.arange(28) + 0.5) * size / 28 - 0.5
    values = (2 * cells[:, None] + cells[None, :]).astype(np.float32)
    pasted, inside = to_frame(values, transform, size, shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    crop = apply_affine(transform, np.stack([x, y], -1).reshape(-1, 2)).reshape(*shape, 2)
    core = ((crop > 12) & (crop < size - 13)).all(axis=-1)
    expected = 2 * crop[..., 1] + crop[..., 0]
    assert np.abs(pasted - expected)[core].max() < 1.5  # the slope is 2 a pixel
    np.testing.assert_array_equal(inside, ((crop >= -0.5) & (crop <= size - 0.5)).all(axis=-1))
    assert not pasted[~inside].any()


def test_to_frame_stays_in_range_is_smooth_and_survives_faces_outside():
    values = np.zeros((7, 7), np.float32)
    values[3, 3] = 1
    transform = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])
    pasted, inside = to_frame(values, transform, 56, (224, 224))
    assert inside.all()
    assert pasted.min() == 0
    assert pasted.max() == pytest.approx(1, abs=0.01)
    assert np.abs(np.diff(pasted, axis=1)).max() < 0.08  # a cell spans 32 px: no steps
    transform[0, 2] = 1000
    pasted, inside = to_frame(values, transform, 56, (224, 224))
    assert not inside.any()
    assert not pasted.any()
