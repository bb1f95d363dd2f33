"""From windows of known traces to registered classifiers, and back to instruments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from tests.corpus import needs_weights
from tests.manifests import entry
from vidscan.errors import SetupError
from vidscan.forensics import base
from vidscan.forensics.learned import FEATURES, KIND, NEURONS, Srm, WindowClassifiers, WindowInstrument
from vidscan.forensics.material import Material
from vidscan.forensics.networks import NETWORKS
from vidscan.forge.autogan import simulate
from vidscan.media.writer import write_png
from vidscan.models import load_registry, register
from vidscan.training.forensics.heads import HeadsRecipe, by_file, genuine_levels, learn
from vidscan.training.forensics.windows import Window
from vidscan.training.transfer import auc

RECIPE = HeadsRecipe(passes=12, batch=16)
PASSES = {"constrained_convolution": 80, "pooled_statistics": 40}
"""Networks need more than a handful of passes over sixty windows."""


def window(part: int, number: int, forged: bool) -> Window:
    """Camera noise, or what is left of it after a decoder's up-sampling."""
    rng = np.random.default_rng(1000 * part + 10 * number + forged)
    slope = np.linspace(70, 70 + rng.uniform(20, 90), 128)[None, :, None]
    picture = np.clip(slope + rng.normal(0, 7, (128, 128, 3)), 0, 255)
    if forged:
        generator = torch.Generator().manual_seed(number)
        picture = simulate(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), generator)[0]
        picture = picture.permute(1, 2, 0).numpy()
    face = np.rint(picture).astype(np.uint8)
    name = f"{part}-{number}-{forged}"
    shown = entry(name, method=f"method{part}" if forged else "", repo=f"repo{part}", split="train")
    return Window(shown, part, face, face[:112, :112])


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return [window(part, n, forged) for part in range(5) for n in range(6) for forged in (False, True)]


@needs_weights
@pytest.mark.parametrize("name", [*FEATURES, *NETWORKS, NEURONS])
def test_sources_left_out_are_told(name: str, windows: list[Window], tmp_path: Path) -> None:
    recipe = replace(RECIPE, passes=PASSES[name], rate=5e-3) if name in NETWORKS else RECIPE
    learnt = learn(name, windows, recipe)
    assert learnt.left_out.keys() == {w.entry.file for w in windows}
    genuine = np.array([learnt.left_out[w.entry.file] for w in windows if w.entry.genuine])
    forged = [learnt.left_out[w.entry.file] for w in windows if not w.entry.genuine]
    # Pixel values say little of a trace that lies between neighbors; the others read it.
    assert auc(genuine, forged) > {"pixel_pairs": 0.5, **dict.fromkeys(NETWORKS, 0.7)}.get(name, 0.8)
    levels = genuine_levels(learnt, windows)
    assert levels == sorted(levels) and levels[0] == pytest.approx(genuine.min())

    judged = {name: {"auc": 0.8, "genuine": levels}}
    tensors = {f"{name}.{key}": value for key, value in learnt.tensors.items()}
    classifiers = WindowClassifiers(register(tmp_path, "windows", tensors, {"kind": KIND, "judged": judged}))
    crops = np.stack([w.aligned if name == NEURONS else w.face for w in windows])
    found = by_file(windows, classifiers.log_odds(name, crops))
    on_forged, on_genuine = (
        np.mean([found[w.entry.file] for w in windows if w.entry.genuine is side]) for side in (False, True)
    )
    assert on_forged > on_genuine
    assert classifiers.rank(name, levels[0] - 1) == 0 and classifiers.rank(name, levels[-1] + 1) == 1


def test_one_side_is_not_enough(windows: list[Window]) -> None:
    with pytest.raises(SetupError, match="genuine and forged faces are needed"):
        learn("srm", [w for w in windows if w.entry.genuine], RECIPE)
    stills = [replace(w, entry=replace(w.entry, kind="image")) for w in windows if w.entry.genuine]
    learnt = learn("srm", [*windows, *stills], RECIPE)
    assert np.isfinite(list(learnt.left_out.values())).all()


@pytest.fixture
def instrument(windows: list[Window], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WindowInstrument:
    learnt = learn("srm", windows, RECIPE)
    judged = {"srm": {"auc": 0.8, "genuine": genuine_levels(learnt, windows)}}
    tensors = {f"srm.{key}": value for key, value in learnt.tensors.items()}
    register(tmp_path / "weights", "windows", tensors, {"kind": KIND, "judged": judged})
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path / "weights"))
    return Srm()


def test_the_instrument_looks_at_the_face_and_has_the_scene_for_control(
    instrument: WindowInstrument, windows: list[Window], tmp_path: Path
) -> None:
    genuine, forged = windows[0].face, windows[1].face
    scene = np.concatenate([genuine, genuine], 1)
    whole = np.concatenate([forged, forged], 1)
    scores, texts = [], []
    for name, picture in (("genuine", scene), ("forged", whole)):
        write_png(tmp_path / f"{name}.png", picture)
        found = instrument.examine(Material(tmp_path / f"{name}.png", faces={0: [(10, 10, 118, 118)]}))
        assert found.status == "ok" and found.score is not None
        scores.append(found.score)
        texts.append(found.message)
    assert scores[1] > 0.5 > scores[0]
    assert "So is the scene" in texts[1] and "So is the scene" not in texts[0]
    assert "0.80" in texts[0]

    assert instrument.examine(Material(tmp_path / "genuine.png")).code == "no_face"
    write_png(tmp_path / "small.png", genuine[:100])
    small = Material(tmp_path / "small.png", faces={0: [(0, 0, 90, 90)]})
    assert instrument.examine(small).code == "too_small"


@needs_weights
def test_every_instrument_of_the_shelf_that_learnt_is_shipped(tmp_path: Path) -> None:
    write_png(tmp_path / "face.png", astronaut()[:400, 40:440])
    material = Material(tmp_path / "face.png", faces={0: [(130, 60, 250, 220)]})
    judged = load_registry().get(KIND).settings["judged"]
    for name in (*FEATURES, *NETWORKS, NEURONS, "resampling", "resampling_learned", "noise"):
        made = base.load_instrument(name)
        assert made.name == name and made.title and made.source
        found = made.examine(material)
        assert found.status == "ok", found
        assert found.name == name and found.score is not None
        assert name not in judged or 0 <= judged[name]["auc"] <= 1
