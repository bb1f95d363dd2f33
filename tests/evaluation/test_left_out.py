from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_evaluation import MODELS
from tests.manifests import write_manifest
from vidscan.errors import SetupError
from vidscan.evaluation import left_out as module
from vidscan.evaluation.left_out import FULL_SYNTHESIS, left_out, unseen_methods
from vidscan.evaluation.scanning import Scanning, Scored
from vidscan.training.corpus import Entry, read_manifest

A, B = FULL_SYNTHESIS


def record(**pairs: Any) -> dict[str, Any]:
    return {"recipe": {"pairs": pairs}}


def test_what_a_record_says_was_not_seen() -> None:
    assert unseen_methods({}, FULL_SYNTHESIS) == set()
    assert unseen_methods(record(third_party=0.06), FULL_SYNTHESIS) == set()
    assert unseen_methods(record(third_party=0.06, leave_out=[A, "x"]), FULL_SYNTHESIS) == {A}
    assert unseen_methods(record(third_party=0.0), FULL_SYNTHESIS) == set(FULL_SYNTHESIS)


def corpus(folder: Path, fakes: int = 3) -> Path:
    rows = [f"train,real,g{i}.jpg,photo,r,person {i},,,," for i in range(40)]
    rows += [f"train,fake,{m}{i}.jpg,image,r,,{m},s,," for m in (A, B) for i in range(fakes)]
    rows += [f"train,fake,walk.mp4,video,r,,{A},s,,", "train,fake,other.jpg,image,r,,AttGAN,editing,,"]
    return write_manifest(folder, *rows)


def test_pictures_of_unseen_methods_against_people_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(folder: Path, entries: list[Entry], *rest: Any) -> tuple[list[Scored], Any]:
        value = {A: 1.0, B: -1.0, "": 0.0}
        return [Scored(e, value[e.method], "no_manipulation_found", None) for e in entries], MODELS

    monkeypatch.setattr(module, "scan_corpus", scan)
    corpus(tmp_path)
    stages: list[tuple[str, int]] = []

    def stage(name: str, files: int) -> Any:
        stages.append((name, files))
        return lambda: None

    held_out = sum(e.genuine and e.held_out for e in read_manifest(tmp_path))
    rows = left_out(tmp_path, tmp_path, Scanning(), record(third_party=0.1, leave_out=[A]), stage)
    assert stages == [("scanning train pictures", held_out + 6)]
    assert [(r.row.name, r.row.forged, r.row.genuine, r.row.auc, r.measurement) for r in rows] == [
        (A, 3, held_out, 1.0, True),
        (B, 3, held_out, 0.0, False),
        ("full synthesis", 6, held_out, 0.5, False),
    ]
    rows = left_out(tmp_path, tmp_path, Scanning(), record(third_party=0.1, leave_out=[A, B]), stage)
    assert all(r.measurement for r in rows)


def test_a_corpus_without_such_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="lacks pictures"):
        left_out(corpus(tmp_path, fakes=0), tmp_path, Scanning(), {}, lambda name, files: lambda: None)
