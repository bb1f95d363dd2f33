from __future__ import annotations

import numpy as np
import pytest
import torch

from vidscan.faces.align import apply_affine, crop_transform
from vidscan.forge.template import mean_landmarks
from vidscan.patches.encoder import REGIONS, SPEC, native_maps
from vidscan.training.descriptions import _mirrored
from vidscan.training.face_crops import native_crop, picture
from vidscan.training.own_pairs import FORGED_SPEC
from vidscan.types import Detection

FRAME = np.random.default_rng(0).integers(0, 256, (500, 640, 3), dtype=np.uint8)


def face(x: float, y: float, size: float = 1.0, turn: float = 0.2) -> Detection:
    points = np.array([[-15, -12], [15, -12], [0, 3], [-11, 18], [11, 18]]) * size
    turned = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    box = np.array([-28, -38, 28, 38]) * size + [x, y, x, y]
    return Detection(box.astype(np.float32), (turned + np.array([x, y])).astype(np.float32), 0.99)


@pytest.mark.parametrize(("x", "y"), [(320, 250), (60, 40), (600, 470)])
def test_a_native_crop_is_the_frame_and_knows_where_the_face_lies(x: float, y: float) -> None:
    found = native_crop(FRAME, face(x, y), SPEC)
    aligned = crop_transform(face(x, y).points[None], SPEC, face(x, y).box[None])
    # The crop that scanning cuts, to the pixel.
    first = -native_maps(aligned, (640, 500))[0, :, 2].astype(int)
    assert np.array_equal(picture(found.crop), FRAME[first[1] : first[1] + 224, first[0] : first[0] + 224])
    spots = np.array([[10.0, 20.0], [200.0, 120.0]])
    assert apply_affine(found.to_aligned, spots) == pytest.approx(apply_affine(aligned[0], spots + first))
    assert apply_affine(found.to_aligned, found.landmarks()) == pytest.approx(mean_landmarks(SPEC), abs=1e-3)


def test_a_wider_crop_has_the_regions_of_the_encoders_crop_in_its_middle() -> None:
    plain = native_crop(FRAME, face(320, 250), SPEC)
    wide = native_crop(FRAME, face(320, 250), FORGED_SPEC)
    assert np.array_equal(picture(wide.crop)[28:-28, 28:-28], picture(plain.crop))
    assert torch.equal(wide.weights(), plain.weights())


def test_regions_are_mirrored_with_their_crops() -> None:
    weights = native_crop(FRAME, face(300, 250, 2.0), SPEC).weights().expand(2, -1, -1)
    turned = _mirrored(weights, np.array([True, False]))
    assert torch.equal(turned[1], weights[1])
    eyes = REGIONS.index("eyes")
    assert torch.equal(turned[0, eyes].reshape(16, 16).flip(1), weights[0, eyes].reshape(16, 16))
    assert not torch.equal(turned[0, eyes], weights[0, eyes])
