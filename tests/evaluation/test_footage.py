from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.test_difference import BOX, changed, scene, write
from tests.evaluation.test_evaluation import scored
from vidscan.evaluation import footage as module
from vidscan.evaluation.footage import ALL, copy_with_masks, footage, plan_pairs
from vidscan.evaluation.mask_scores import MaskScores, load_exact_masks, region_px
from vidscan.evaluation.scanning import Scanning, Scored


def pair(folder: Path, name: str, method: str, *, alike: bool = False) -> list[Scored]:
    """A genuine clip, and a fake of it, in the corpus ``folder``."""
    frames = [scene(n / 12) for n in range(12)]
    write(folder / f"{name}-g.mp4", frames)
    write(folder / f"{name}-f.mp4", frames if alike else [changed(f) for f in frames])
    genuine = scored(f"{name}-g.mp4", 0.0)
    return [genuine, scored(f"{name}-f.mp4", 0.0, method=method, pair=genuine.entry.file)]


def test_only_pairs_of_the_split_that_share_their_footage(tmp_path: Path) -> None:
    clips = pair(tmp_path, "a", "swap")
    other = replace(clips[1], entry=replace(clips[1].entry, file="b.mp4", pairing="driver_other_person"))
    gone = replace(clips[1], entry=replace(clips[1].entry, file="c.mp4", pair="elsewhere.mp4"))
    (planned,) = plan_pairs(tmp_path, [s.entry for s in (*clips, other, gone)], tmp_path / "out")
    assert (planned.forged, planned.genuine) == (tmp_path / "a-f.mp4", tmp_path / "a-g.mp4")
    assert planned.target.parent == tmp_path / "out"


def test_the_copy_is_the_clip_and_has_masks_beside_it(tmp_path: Path) -> None:
    clips = pair(tmp_path, "a", "swap")
    (planned,) = plan_pairs(tmp_path, [s.entry for s in clips], tmp_path)
    copy_with_masks(planned)
    assert planned.target.read_bytes() == planned.forged.read_bytes()
    masks = load_exact_masks(planned.target)
    assert masks.shape == (12, 120, 160) and masks[:, BOX[0].start + 20, BOX[1].start + 20].all()
    assert region_px(planned.target) == pytest.approx(48, rel=0.15)
    assert not list(tmp_path.glob("*.part*"))


def test_pairs_without_a_place_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [
        *pair(tmp_path, "a", "swap"),
        *pair(tmp_path, "b", "lips"),
        *pair(tmp_path, "c", "lips", alike=True),
    ]
    seen: list[Path] = []

    def scan(paths: list[Path], how: Scanning, advance: object) -> dict[Path, MaskScores]:
        seen.extend(paths)
        return {path: MaskScores(3, 0.25 * n, None, 0.9, 1.0) for n, path in enumerate(paths, 1)}

    monkeypatch.setattr(module, "scan_masks", scan)
    stages: list[tuple[str, int]] = []

    def stage(name: str, files: int) -> object:
        stages.append((name, files))
        return lambda: None

    found = footage(tmp_path, clips, tmp_path / "out", Scanning(jobs=1), stage)  # type: ignore[arg-type]
    assert found is not None
    assert list(found.left_out) == ["c-f.mp4"] and "of 12 frames only" in found.left_out["c-f.mp4"]
    assert [row.name for row in found.rows] == ["lips", "swap", ALL]
    assert [row.clips for row in found.rows] == [1, 1, 2]
    assert found.rows[-1].iou.value == pytest.approx(np.mean([0.25, 0.5]))
    assert all(row.held_out for row in found.rows)
    assert len(seen) == 2 and [files for _, files in stages] == [3, 2]


def test_a_split_without_pairs_has_no_table(tmp_path: Path) -> None:
    assert footage(tmp_path, [scored("a.mp4", 0.0)], tmp_path, Scanning(), lambda *_: lambda: None) is None
