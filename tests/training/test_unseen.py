"""Genuine train clips are read by heads that never saw their source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.patches.fixture_weights import make_weights
from tests.patches.test_encoder import register_encoder
from tests.training.small_corpus import small_corpus
from vidscan.errors import SetupError, WeightsError
from vidscan.models import load_registry
from vidscan.training.corpus import read_manifest
from vidscan.training.evidence import ClipEvidence, gather_all
from vidscan.training.linear_head import LinearHeads
from vidscan.training.sources import FOLDS
from vidscan.training.unseen import parts_unseen, register_left_out

SHIPPED = -5.0
"""What the shipped heads say of every crop; those without part k say 10 * k."""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_weights(tmp_path / "weights")
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(folder))
    register_encoder(folder, constant=SHIPPED)
    return folder


def keep_heads(weights: Path, corpus: Path) -> None:
    encoder = load_registry(weights).get("encoder")
    width = encoder.load()["head.weight"].shape[1]
    heads = [LinearHeads(np.zeros((2, width), np.float32), np.full(2, 10.0 * k)) for k in range(FOLDS)]
    register_left_out(weights, encoder, {"head": heads, "native": heads}, read_manifest(corpus), 0)


def looks(clip: ClipEvidence) -> set[float]:
    return {f.encoder for t in clip.tracks for f in t.faces if f.encoder is not None}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_every_train_clip_is_read_by_heads_that_never_saw_its_source(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    corpus = small_corpus(tmp_path / "corpus")
    keep_heads(weights, corpus)
    parts = parts_unseen(corpus, load_registry())
    genuine = [e.file for e in read_manifest(corpus) if e.genuine and e.kind == "video"]
    files = list({parts[file]: file for file in genuine}.values())[:3]
    assert len({parts[file] for file in files}) == 3
    found = gather_all(corpus, files, tmp_path / "evidence", jobs=1, parts=parts)
    for file in files:
        assert looks(found[file]) == {10.0 * parts[file]}
    # The same clip as any other: read by the shipped heads, and kept beside.
    (plain,) = gather_all(corpus, files[:1], tmp_path / "evidence", jobs=1).values()
    assert looks(plain) == {SHIPPED}
    assert len(list((tmp_path / "evidence").iterdir())) == 4


def test_without_heads_that_never_saw_them_train_clips_are_not_read(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="left_out_heads"):
        parts_unseen(tmp_path, load_registry())


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_heads_of_another_encoder_or_corpus_are_refused(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    corpus = small_corpus(tmp_path / "corpus")
    keep_heads(weights, corpus)
    manifest = corpus / "manifest.csv"
    rows = manifest.read_text()
    manifest.write_text("\n".join(row for row in rows.splitlines() if "0-real.mp4" not in row) + "\n")
    with pytest.raises(SetupError, match="another corpus"):
        parts_unseen(corpus, load_registry())
    manifest.write_text(rows)
    register_encoder(weights, constant=SHIPPED + 1)
    with pytest.raises(SetupError, match="is not of encoder-test"):
        parts_unseen(corpus, load_registry())
