"""Every part of ``vidscan evaluate``, from a corpus folder to tables and pictures, on very small clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from samples.clips import make_clip
from tests.manifests import entry, write_manifest
from tests.patches.fixture_weights import make_weights
from vidscan.cli.app import run
from vidscan.evaluation import localisation, quality, robustness
from vidscan.forge.kinds import KINDS, Kind
from vidscan.media import write_png

FRAMES = 5


def portrait(person: int) -> np.ndarray:
    """(256, 256, 3) one of a few people: the astronaut, mirrored or in another light."""
    data = pytest.importorskip("skimage.data")
    image = data.astronaut()[0:256, 96:352]
    image = image[:, ::-1] if person % 2 else image
    return np.clip(image * (1 - 0.08 * person), 0, 255).astype(np.uint8)


def moving(person: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng((person, seed)).normal(0, 2, (FRAMES, 256, 256, 3))
    frames = [np.roll(portrait(person), t, 1) for t in range(FRAMES)]
    return np.clip(np.stack(frames) + noise, 0, 255).astype(np.uint8)


def held_out_person() -> str:
    names = (f"person {i}" for i in range(100))
    return next(n for n in names if entry(n).held_out)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for person in range(3):
        make_clip(folder / f"g{person}.mp4", moving(person))
        rows.append(f"dev,real,g{person}.mp4,video,r,p{person},,,,")
    for person in range(2):
        frames = moving(person, seed=1)
        if person == 0:  # the other differs from its footage by noise only
            frames[:, 180:230, 20:70] = 255 - frames[:, 180:230, 20:70]
        make_clip(folder / f"f{person}.mp4", frames)
        rows.append(f"dev,fake,f{person}.mp4,video,r,,Swap,faceswap,g{person}.mp4,same_footage")
    write_png(folder / "t.png", portrait(0))
    write_png(folder / "s.png", portrait(1))
    rows.append(f"train,real,t.png,photo,r,{held_out_person()},,,,")
    rows.append("train,fake,s.png,image,r,,InterFaceGAN,fullsynth,,")
    (folder / "list.txt").write_text("g1.mp4\ng2.mp4\n")
    return write_manifest(folder, *rows)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_parts_and_a_second_run_makes_nothing_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path / "weights")))
    kinds = {kind: KINDS[kind] for kind in (Kind.face_warp, Kind.inpainted)}
    monkeypatch.setattr(localisation, "KINDS", kinds)
    treatments = {name: robustness.TREATMENTS[name] for name in ("crf 40", "blur 2")}
    monkeypatch.setattr(robustness, "TREATMENTS", treatments)
    spoilings = {name: quality.SPOILINGS[name] for name in (quality.UNSPOILT, "light 15 %")}
    monkeypatch.setattr(quality, "SPOILINGS", spoilings)
    out = tmp_path / "out"
    command = ["evaluate", str(corpus), "--out", str(out), "--all", "--json", "--plots", "--jobs", "1"]
    command += ["--subset", str(corpus / "list.txt"), "--device", "cpu"]

    assert run(command) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert json.loads((out / "dev.json").read_text()).items() <= data.items()
    assert "scanning treated clips: 10 files" in captured.err
    assert [r["name"] for r in data["robustness"]] == ["clean", "crf 40", "blur 2"]
    assert [r["false_alarms"]["of"] for r in data["robustness"]] == [2, 2, 2]
    assert [r["false_alarms"]["of"] for r in data["quality"]] == [2, 2]
    assert data["innocent"][0]["of"] == data["innocent"][1]["of"] == 3
    assert {r["name"]: r["clips"] for r in data["localisation"]} == {
        "face_warp": 3,
        "inpainted": 3,
        "regions under 40 px": 4,
        "regions of 80 px and more": 2,
        "all kinds held out of training": 6,
    }
    assert {r["name"]: r["clips"] for r in data["footage"]["rows"]} == {"Swap": 1, "all pairs": 1}
    assert list(data["footage"]["left_out"]) == ["f1.mp4"]
    assert [r["measurement"] for r in data["synthesis"]["rows"]] == [False, False]
    text = (out / "dev.md").read_text()
    for part in (
        "## Robustness",
        "## Quality gate",
        "## Innocent edits",
        "## Localisation",
        "## Localisation on same footage",
        "| f1.mp4 | no_place: the change has a place in ",
    ):
        assert part in text
    assert "not a measurement" in (out / "synthesis.md").read_text()
    for name in ("roc", "det", "robustness", "localisation", "footage"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")

    made = {path: path.stat().st_mtime_ns for path in (out / "derived").rglob("*") if path.is_file()}
    assert len([path for path in made if path.suffix == ".mp4"]) == 10 + 4 + 3 + 6 + 1
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out) == data
    assert made == {path: path.stat().st_mtime_ns for path in (out / "derived").rglob("*") if path.is_file()}
