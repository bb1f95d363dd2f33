"""Rows of the table of instruments, and the fingerprints that are learned from a corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.manifests import entry, write_manifest
from vidscan.errors import SetupError
from vidscan.evaluation import forensics as evaluation
from vidscan.evaluation.forensic_material import save_clip, transposed
from vidscan.forensics import fingerprint, shelf
from vidscan.forensics.base import INSTRUMENTS
from vidscan.forensics.fingerprint import Fingerprint
from vidscan.forensics.material import Material
from vidscan.training import fingerprints
from vidscan.training.transfer import auc
from vidscan.types import Detection


def quiet(name: str, steps: int) -> Callable[[], None]:
    return lambda: None


def test_every_case_is_about_an_instrument() -> None:
    known = evaluation.cases()
    assert {case.instrument for case in known} <= set(INSTRUMENTS)
    assert len({(case.instrument, case.material) for case in known}) == len(known)


def test_made_material_is_told_apart(
    tmp_path: Path, footage: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {
        ("double_compression", "70, then 90"),
        ("spectrum", "transposed convolution"),
        ("noise", "a face with noise of 3 gray levels more"),
    }
    chosen = tuple(c for c in evaluation.cases() if (c.instrument, c.material) in wanted)
    monkeypatch.setattr(evaluation, "cases", lambda: chosen)
    save_clip(footage[:4], tmp_path / "a.mp4", crf=10)
    rows = evaluation.made_rows(tmp_path, [entry("a.mp4")], quiet)
    assert [(row.auc, row.negatives, row.positives) for row in rows] == [(1.0, 1, 1)] * 3
    assert "| double_compression | 70, then 90 | 1 + 1 | 1.00 |" in evaluation.markdown(rows)


def test_the_corpus_is_sampled_and_compared(
    tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nobody:
        def detect(self, images: NDArray[np.uint8], near: object = None) -> list[list[Detection]]:
            return [[] for _ in images]

    for module in (evaluation, shelf):
        monkeypatch.setattr(module, "INSTRUMENTS", {"spectrum": INSTRUMENTS["spectrum"]})
    monkeypatch.setattr(evaluation, "load_detector", Nobody)
    entries = []
    for n in range(6):
        part = np.ascontiguousarray(photo[8 * n : 8 * n + 320, :320])
        half = np.asarray(cv2.resize(part, (160, 160), interpolation=cv2.INTER_AREA), np.uint8)
        for genuine, picture in ((True, part), (False, transposed(half))):
            name = f"{n}{genuine}.png"
            cv2.imwrite(str(tmp_path / name), picture[..., ::-1])
            entries.append(entry(name, method=f"method {n}", genuine=genuine, kind="image"))
    (row,) = evaluation.corpus_rows(tmp_path, entries, quiet)
    assert (row.instrument, row.material, row.negatives, row.positives) == (
        "spectrum", "corpus, pictures", 6, 6
    )  # fmt: skip
    assert row.auc == 1.0 and row.interval == (1.0, 1.0)


def test_ties_count_half() -> None:
    assert auc(np.array([0.0, 0.0]), [0.0, 0.0]) == 0.5
    assert auc(np.array([0.0, 0.2]), [0.1, 0.3]) == 0.75


def test_fingerprints_are_learnt_and_known_again(
    tmp_path: Path, footage: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "_LEAST_GENUINE", 4)
    rows = []
    for n in range(4):
        frames = [np.ascontiguousarray(image[16 * n : 16 * n + 256, :256]) for image in footage[n : n + 3]]
        halves = [
            np.asarray(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
            for image in frames
        ]
        save_clip(frames, tmp_path / f"real{n}.mp4", crf=12)
        save_clip([transposed(half) for half in halves], tmp_path / f"fake{n}.mp4", crf=12)
        rows.append(f"train,real,real{n}.mp4,video,r,p{n},,,,")
        rows.append(f"train,fake,fake{n}.mp4,video,r,,doubler,,,")
    write_manifest(tmp_path, *rows[:7])  # the last fake is kept for the test
    record = fingerprints.learn_fingerprints(tmp_path, tmp_path / "weights", quiet)
    assert record.settings["generators"] == ["doubler"]
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path / "weights"))
    fingerprint._known.cache_clear()
    try:
        scores = [
            Fingerprint().examine(Material(tmp_path / f"{name}3.mp4")).score for name in ("real", "fake")
        ]
    finally:
        fingerprint._known.cache_clear()
    assert scores[1] == 1.0 and scores[0] is not None and scores[0] < 1.0


def test_fingerprints_need_generators(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    with pytest.raises(SetupError, match="genuine clips"):
        fingerprints.learn_fingerprints(tmp_path, tmp_path / "weights", quiet)
