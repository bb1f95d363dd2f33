from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.manifests import write_manifest
from tests.training.small_corpus import SOURCES, small_corpus
from vidscan.errors import SetupError
from vidscan.faces.detect import load_detector
from vidscan.media.writer import write_png
from vidscan.training.corpus import read_manifest
from vidscan.training.face_crops import crops_at, picture
from vidscan.training.own_pairs import FORGED_SPEC
from vidscan.training.pack import MIB, PACK, read_pack, write_pack


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def packed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    with warnings.catch_warnings(action="ignore"):
        assert write_pack(corpus, folder, mib=4, looks=2, jobs=1) == 98
    return folder


def test_a_pack_holds_every_clip_and_picture_as_it_looks(corpus: Path, packed: Path) -> None:
    pack = read_pack(packed)
    entries = read_manifest(corpus)
    assert {e.file for e in pack.entries} == {e.file for e in entries}
    assert len(pack.crops) == SOURCES * 2 * (1 + 2)  # pictures once, clips twice
    row = next(i for i, e in enumerate(pack.entries) if e.kind == "image")
    (crop,) = crops_at(corpus / pack.entries[row].file, (0.0,), load_detector(), FORGED_SPEC)
    error = np.abs(pack.crops[row].astype(float) - picture(crop)).mean()
    assert error < 4
    # No source lies in two parts.
    by_source = {(e.repo, int(part)) for e, part in zip(pack.entries, pack.parts, strict=True)}
    assert len(by_source) == SOURCES
    assert set(pack.parts.tolist()) == set(range(5))


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_quality_is_the_best_that_fits(corpus: Path, packed: Path, tmp_path: Path) -> None:
    size = (packed / PACK).stat().st_size / MIB
    assert write_pack(corpus, tmp_path / "less", mib=size * 0.7, looks=2, jobs=1) < 98
    assert (tmp_path / "less" / PACK).stat().st_size / MIB <= size * 0.7
    with pytest.raises(SetupError, match=r"24 crops take 0\.\d MiB at WebP quality 85: more than 0\.01"):
        write_pack(corpus, tmp_path / "least", mib=0.01, jobs=1)
    assert not (tmp_path / "least" / PACK).exists()


def test_a_corpus_without_clips_to_learn_from_is_one_line(tmp_path: Path) -> None:
    write_manifest(tmp_path, "dev,real,grey.png,image,repo,person,,,,")
    with pytest.raises(SetupError, match="parted by source"):
        write_pack(tmp_path, tmp_path / "pack", mib=1, jobs=1)


def test_a_corpus_without_faces_is_one_line(tmp_path: Path) -> None:
    write_png(tmp_path / "grey.png", np.full((90, 90, 3), 90, np.uint8))
    write_manifest(tmp_path, *(f"train,real,grey.png,image,repo{n},person{n},,,," for n in range(5)))
    with pytest.raises(SetupError, match="no face was found"):
        write_pack(tmp_path, tmp_path / "pack", mib=1, jobs=1)


@pytest.mark.parametrize("content", [None, b"", b"not a pack"])
def test_a_pack_that_cannot_be_read_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / PACK).write_bytes(content)
    with pytest.raises(SetupError, match="cannot read the pack"):
        read_pack(tmp_path)


def test_a_damaged_crop_is_one_line(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / PACK
    data = bytearray((packed / PACK).read_bytes())
    start = data.index(b"RIFF")
    data[start : start + 4] = b"none"
    path.write_bytes(data)
    with pytest.raises(SetupError, match="a crop is damaged"):
        read_pack(tmp_path)
