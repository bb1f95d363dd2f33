"""The verdict on sources that it never saw, with made-up people of five parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.manifests import entry
from tests.tracks import make_track
from vidscan.evaluation import unseen_sources, verdict
from vidscan.evaluation.scanning import BELOW_ALL, Scanning
from vidscan.evaluation.unseen_sources import SPAN_S, evaluate_unseen, read_clips, unseen_values, variants
from vidscan.training.corpus import Entry
from vidscan.training.evidence import ClipEvidence
from vidscan.training.verdict import VerdictRecipe
from vidscan.types import ScanSettings


def of_part(part: int, count: int = 10) -> list[Entry]:
    genuine = [entry(f"real {part} {i}", f"person {part} {i}", split="train") for i in range(count)]
    forged = [entry(f"fake {part} {i}", method=f"method {part}", split="train") for i in range(4)]
    return [replace(e, repo=f"repo {part}") for e in (*genuine, *forged)]


ENTRIES = [e for part in range(5) for e in of_part(part)]
PARTS = {e.file: int(e.repo.split()[1]) for e in ENTRIES}
CLIPS = {
    e.file: ClipEvidence(e.file, (make_track(i, shift=0.0 if e.genuine else 5.0),), 0.1)
    for i, e in enumerate(ENTRIES)
}


def test_every_variant_is_told_and_forgeries_are_ranked() -> None:
    found = evaluate_unseen(ENTRIES, CLIPS, PARTS)
    assert list(found) == list(variants())
    assert found["all groups"].all.value > 0.95 and found["all groups"].own.value > 0.95
    assert evaluate_unseen([], {}, {}) == {}


def test_a_part_teaches_nothing_by_which_it_is_judged() -> None:
    before = unseen_values(ENTRIES, CLIPS, PARTS, VerdictRecipe())
    assert before.keys() == {e.file for e in ENTRIES}
    rng = np.random.default_rng(0)
    odd = {
        e.file: ClipEvidence(e.file, (make_track(i, shift=float(rng.normal(0, 4))),), 0.1)
        for i, e in enumerate(ENTRIES)
        if PARTS[e.file] == 2 and e.genuine
    }
    after = unseen_values(ENTRIES, CLIPS | odd, PARTS, VerdictRecipe())
    same = {file for file in before if before[file] == after[file]}
    assert {file for file, part in PARTS.items() if part == 2 and file not in odd} <= same
    assert not {file for file, part in PARTS.items() if part != 2} & same


def test_a_clip_without_a_face_ranks_below_all() -> None:
    gone = {"fake 1 0": ClipEvidence("fake 1 0", (), None)}
    assert unseen_values(ENTRIES, CLIPS | gone, PARTS, VerdictRecipe())["fake 1 0"] == BELOW_ALL


def test_as_much_of_every_clip_of_train_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dev = entry("dev", split="dev")
    still = entry("still", split="train", kind="photo")
    monkeypatch.setattr(unseen_sources, "read_manifest", lambda corpus: [*ENTRIES, dev, still])
    asked: dict[str, object] = {}

    def gathered(root: Path, files: list[str], folder: Path, **how: object) -> dict[str, ClipEvidence]:
        asked.update(how, files=files)
        return {file: CLIPS[file] for file in files if file != "real 0 3"}

    parts = PARTS | {"still": 0}
    monkeypatch.setattr(verdict, "gather_all", gathered)
    monkeypatch.setattr(unseen_sources, "parts_unseen", lambda corpus, registry: parts)
    how = Scanning(ScanSettings(max_duration_s=60.0))
    entries, clips, found = read_clips(tmp_path, tmp_path, how, lambda name, count: lambda: None)
    assert asked["files"] == [e.file for e in ENTRIES]
    assert asked["settings"] == ScanSettings(max_duration_s=SPAN_S) and asked["parts"] == parts
    assert [e.file for e in entries] == [e.file for e in ENTRIES if e.file != "real 0 3"]
    assert found is parts and len(clips) == len(entries)
    monkeypatch.setattr(unseen_sources, "parts_unseen", lambda corpus, registry: {})
    assert read_clips(tmp_path, tmp_path, how, lambda name, count: lambda: None)[0] == []
