"""The data set of face crops: whole, by person, counted, and not cut twice."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from samples.clips import make_clip
from tests.corpus import needs_weights
from tests.faces.scenes import astronaut
from tests.manifests import entry, write_manifest
from vidscan.errors import SetupError
from vidscan.faces.align import CropSpec
from vidscan.media import write_png
from vidscan.training import faces
from vidscan.training.faces import FaceCrop, build_faces, contact_sheet, counts_table, part_of


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two genuine people, a forged clip, a picture, a clip without a face and one that is broken."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    face = cv2.resize(astronaut()[:220, 120:340], (176, 176), interpolation=cv2.INTER_AREA)
    shown = np.stack([np.roll(face, n, 1) for n in range(30)])
    for name in ("a.mp4", "b.mp4", "fake.mp4"):
        make_clip(folder / name, shown)
    make_clip(folder / "nobody.mp4", np.full((10, 176, 176, 3), 90, np.uint8))
    (folder / "broken.mp4").write_bytes(b"broken")
    write_png(folder / "still.png", face)
    people = people_by_part()
    rows = [
        f"train,real,a.mp4,video,r,{people['train']},,,,",
        f"train,real,b.mp4,video,r,{people['held_out']},,,,",
        f"train,fake,fake.mp4,video,r,{people['train']},swapper,faceswap,a.mp4,",
        "dev,real,still.png,photo,s,somebody else,,,,",
        "dev,real,nobody.mp4,video,s,nobody,,,,",
        "dev,real,broken.mp4,video,s,broken,,,,",
    ]
    return write_manifest(folder, *rows)


def people_by_part() -> dict[str, str]:
    """A person of the train split for each of its parts."""
    found: dict[str, str] = {}
    for number in range(100):
        name = f"person {number}"
        found.setdefault(part_of(entry("x.mp4", name, split="train")), name)
    return found


def told(name: str, files: int) -> Callable[[], None]:
    assert (name, files) == ("faces", 6)
    return lambda: None


@needs_weights
def test_crops_by_part_and_class_with_table_counts_and_sheets(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "faces"
    crops = build_faces(corpus, out, count=3, spec=CropSpec(size=64, margin=1.5), jobs=1, stage=told)
    groups = {(c.part, c.label) for c in crops}
    assert groups == {
        ("train", "genuine"), ("held_out", "genuine"), ("train", "faceswap"), ("dev", "genuine")
    }  # fmt: skip
    assert len(crops) == 3 + 3 + 3 + 1
    for crop in crops:
        image = cv2.imread(str(out / crop.file))
        assert image.shape == (64, 64, 3) and image.std() > 20
        assert crop.file.startswith(f"{crop.part}/{crop.label}/")
    people = {part: {c.identity for c in crops if c.part == part} for part in ("train", "held_out", "dev")}
    assert not people["train"] & people["held_out"] and not people["dev"] & people["train"]
    with (out / "faces.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == [crop.file for crop in crops]
    assert {row["method"] for row in rows if row["label"] == "faceswap"} == {"swapper"}
    assert "| train | faceswap | 3 | 1 | 1 | 1 |" in (out / "counts.md").read_text("utf-8")
    for part in people:
        assert cv2.imread(str(out / f"sheet-{part}.png")).shape[1] == 12 * 96
    monkeypatch.setattr(faces, "_cut", lambda clip: pytest.fail(f"{clip.entry.file} was cut again"))
    (corpus / "broken.mp4").unlink()
    kept = (
        (corpus / "manifest.csv").read_text("utf-8").replace("dev,real,broken.mp4,video,s,broken,,,,\n", "")
    )
    (corpus / "manifest.csv").write_text(kept, "utf-8")
    again = build_faces(
        corpus, out, count=3, spec=CropSpec(size=64, margin=1.5), jobs=1, stage=lambda *_: lambda: None
    )
    assert again == crops


def test_a_sheet_shows_another_clip_in_every_place_while_there_are_such(tmp_path: Path) -> None:
    crops = []
    for clip in range(70):
        for frame in range(2):
            name = f"{clip}-{frame}.png"
            write_png(tmp_path / name, np.full((32, 32, 3), 100 + clip + 80 * frame, np.uint8))
            crops.append(FaceCrop(name, "train", "genuine", "", "", f"{clip}.mp4", frame, 30.0))
    sheet = contact_sheet(crops, tmp_path)
    assert sheet.shape == (24 + 5 * 96, 12 * 96, 3)
    shades = [int(sheet[24 + 48 + 96 * (n // 12), 48 + 96 * (n % 12), 0]) for n in range(60)]
    assert len(set(shades)) == 60 and max(shades) < 170
    few = contact_sheet(crops[:4], tmp_path)
    assert sorted({int(v) for v in few[72, 48 : 4 * 96 : 96, 0]}) == [100, 101, 180, 181]


def test_a_corpus_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="manifest"):
        build_faces(tmp_path, tmp_path / "out", stage=told)


def test_counts_of_nothing() -> None:
    assert counts_table([]).count("\n") == 2
