from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from samples.clips import make_clip, pattern
from vidscan.errors import CorruptError, NotFoundError
from vidscan.media import open_video
from vidscan.training.derive import derive_all, derived_name, rewrite


@dataclass(frozen=True)
class Task:
    target: Path
    good: bool = True


def make(task: Task) -> None:
    if not task.good:
        raise CorruptError("no good")
    task.target.write_text("made")


def test_names_tell_the_content_apart(tmp_path: Path) -> None:
    names = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "clip.mov").write_bytes(bytes([number]))
        names.append(derived_name(folder / "clip.mov", "half size"))
    assert all(n.startswith("clip-") and n.endswith("-half_size.mp4") for n in names)
    assert names[0] != names[1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_targets_are_made_once_and_failures_told(tmp_path: Path, jobs: int) -> None:
    there = Task(tmp_path / "there")
    there.target.write_text("before")
    tasks = [there, *(Task(tmp_path / "new" / str(i)) for i in range(3)), Task(tmp_path / "bad", good=False)]
    steps: list[int] = []
    failures = derive_all(make, tasks, jobs=jobs, advance=lambda: steps.append(1))
    assert len(steps) == len(tasks)
    assert failures == {tmp_path / "bad": "corrupt: no good"}
    assert there.target.read_text() == "before"
    assert all(task.target.read_text() == "made" for task in tasks[1:4])


def make_slowly(task: Task) -> None:
    time.sleep(0.2)
    make(task)


def test_who_is_stopped_does_not_make_the_rest(tmp_path: Path) -> None:
    tasks = [Task(tmp_path / str(i)) for i in range(60)]

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        derive_all(make_slowly, tasks, jobs=2, advance=stop)
    assert 1 <= sum(task.target.exists() for task in tasks) < 20


def test_rewriting_keeps_frames_and_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.12, 0.16, 0.3, 0.34]
    source = make_clip(tmp_path / "a.mp4", pattern(6), times=times)
    target = tmp_path / "b.mp4"
    seen = []

    def darker(image: np.ndarray, index: int) -> np.ndarray:
        seen.append(index)
        return image // 2

    rewrite(source, target, darker, crf=10)
    assert seen == list(range(6))
    with open_video(source) as before, open_video(target) as after:
        old, new = next(iter(before)), next(iter(after))
    assert new.times == pytest.approx(old.times, abs=1e-3)
    assert np.abs(new.images.astype(int) - old.images // 2).mean() < 4


def test_a_failed_change_leaves_no_file(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", pattern(40))

    def fail(image: np.ndarray, index: int) -> np.ndarray:
        if index == 20:
            raise NotFoundError("gone")
        return image

    with pytest.raises(NotFoundError):
        rewrite(source, tmp_path / "b.mp4", fail, crf=18)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
