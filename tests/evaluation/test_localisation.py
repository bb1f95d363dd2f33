from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.test_evaluation import scored
from vidscan.errors import SetupError
from vidscan.evaluation.localisation import CLIPS, Compared, plan_forgeries, tabulate
from vidscan.evaluation.mask_scores import NO_MASK, MaskScores
from vidscan.evaluation.scanning import Scored
from vidscan.forge.base import HELD_OUT
from vidscan.forge.kinds import KINDS


def genuine(folder: Path, count: int, face_px: float | None = 120.0) -> list[Scored]:
    clips = []
    for i in range(count):
        file = f"g{i}{face_px}.mp4"
        (folder / file).write_text(file)
        clips.append(replace(scored(file, 0.0), face_px=face_px))
    return clips


def test_every_clip_gets_the_kinds_held_out_and_three_in_turn(tmp_path: Path) -> None:
    clips = genuine(tmp_path, 50) + genuine(tmp_path, 5, 79.0) + genuine(tmp_path, 5, None)
    tasks = plan_forgeries(tmp_path, [*clips, scored("f", 0.0, method="m")], tmp_path / "out")
    by_clip = defaultdict(set)
    for task in tasks:
        by_clip[task.source].add(task.kind)
        assert (task.donor is not None) == KINDS[task.kind].donor
        assert task.donor != task.source
        assert "79.0" not in task.source.name and "None" not in task.source.name
    assert len(by_clip) == CLIPS
    assert all(kinds >= HELD_OUT and len(kinds) == 3 + len(HELD_OUT) for kinds in by_clip.values())
    counts = Counter(task.kind for task in tasks if task.kind not in HELD_OUT)
    assert set(counts) == {k.value for k, about in KINDS.items() if not about.whole_frame} - HELD_OUT
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({task.target for task in tasks}) == len(tasks)
    assert plan_forgeries(tmp_path, clips, tmp_path / "out") == tasks


def test_two_people_are_needed(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="two people"):
        plan_forgeries(tmp_path, genuine(tmp_path, 1), tmp_path)


def test_kinds_outside_the_mix_are_told_apart() -> None:
    good = MaskScores(5, 0.8, 0.9, 0.95, 1.0)
    poor = MaskScores(5, 0.2, None, 0.55, 0.0)
    clips = [
        Compared("swap", "a", 79.9, good),
        Compared("swap", "b", 80.0, poor),
        Compared("inpainted", "a", 39.0, poor),
        Compared("mouth", "b", 20.0, NO_MASK),
    ]
    found = tabulate(clips, {"swap", "rerender"})
    assert [(row.name, row.held_out, row.clips) for row in found] == [
        ("swap", False, 2),
        ("regions of 40 to 80 px", False, 1),
        ("regions of 80 px and more", False, 1),
        ("all kinds trained on", False, 2),
        ("inpainted", True, 1),
        ("mouth", True, 1),
        ("regions under 40 px", True, 2),
        ("all kinds held out of training", True, 2),
    ]
    rows = {row.name: row for row in found}
    assert rows["regions of 40 to 80 px"].iou.value == 0.8
    assert rows["regions under 40 px"].region_px == pytest.approx(29.5)
    assert rows["swap"].iou.value == pytest.approx(0.5)
    assert rows["swap"].iou.interval == (pytest.approx(0.2), pytest.approx(0.8))
    assert rows["swap"].face_auc is not None and rows["swap"].face_auc.value == 0.9  # one clip has none
    assert rows["inpainted"].face_auc is None
    assert rows["all kinds held out of training"].clips == 2
    assert rows["all kinds held out of training"].iou.value == pytest.approx(0.1)


def test_a_model_without_a_recipe_was_trained_on_nothing_known() -> None:
    rows = tabulate([Compared("swap", "a", 50.0, NO_MASK)], set())
    assert [row.held_out for row in rows] == [True, True, True]
