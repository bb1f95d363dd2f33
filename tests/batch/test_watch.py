"""Folders under watch: what arrives is given once it is whole, and again when it has changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("watchdog", reason="watchdog is not installed")

from vidscan.batch.watch import FolderWatch
from vidscan.errors import SetupError

ROOT = Path(__file__).resolve().parents[2]
FAKE = [sys.executable, str(ROOT / "tests" / "cli" / "fake_main.py")]
PATIENCE_S = 60.0


class Clock:
    """Stands still until it is told to go on; waiting takes it a second further."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def until(found: Callable[[], Any]) -> Any:
    """What ``found`` gives as soon as it gives something."""
    end = time.monotonic() + PATIENCE_S
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.05)
    return value


def named(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_what_is_there_and_what_arrives_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("one")
    (tmp_path / "words.txt").write_text("no clip")
    with FolderWatch([tmp_path], settle_s=0.2) as watch:
        assert named(watch.wait(), tmp_path) == ["a.mp4"]
        (tmp_path / "b.mp4").write_text("two")
        (tmp_path / "b.txt").write_text("no clip")
        assert named(watch.wait(PATIENCE_S), tmp_path) == ["b.mp4"]
        assert watch.wait(1.0) == []
        (tmp_path / "a.mp4").write_text("another")
        assert named(watch.wait(PATIENCE_S), tmp_path) == ["a.mp4"]


def test_a_file_that_grows_is_not_whole(tmp_path: Path) -> None:
    watch = FolderWatch([tmp_path], settle_s=10.0, clock=Clock())
    path = tmp_path / "a.mp4"
    given = []
    for size in (1, 2, 3):
        path.write_bytes(bytes(size))
        watch._hear(path)
        given += [watch._settled() for _ in range(5)]
    assert given == [[]] * 15
    found = [watch._settled() for _ in range(20)]
    assert [paths for paths in found if paths] == [[path]]
    path.unlink()
    watch._hear(path)
    assert watch._settled() == []


def test_files_come_with_their_folder_and_by_another_name(tmp_path: Path) -> None:
    inbox, elsewhere = tmp_path / "inbox", tmp_path / "elsewhere"
    for folder in (inbox, elsewhere / "deep"):
        folder.mkdir(parents=True)
    (elsewhere / "deep" / "c.mp4").write_text("three")
    with FolderWatch([inbox], settle_s=0.2, exclude=["skip*"]) as watch:
        (elsewhere / "deep").rename(inbox / "deep")
        assert named(watch.wait(PATIENCE_S), inbox) == ["deep/c.mp4"]
        (inbox / "part").write_text("four")
        (inbox / "skip.mp4").write_text("five")
        assert watch.wait(1.0) == []
        (inbox / "part").rename(inbox / "d.mp4")
        assert named(watch.wait(PATIENCE_S), inbox) == ["d.mp4"]


def test_folders_in_folders_may_be_left_alone(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    with FolderWatch([tmp_path], settle_s=0.2, recursive=False) as watch:
        (tmp_path / "deep" / "a.mp4").write_text("one")
        (tmp_path / "b.mp4").write_text("two")
        assert named(watch.wait(PATIENCE_S), tmp_path) == ["b.mp4"]


def test_without_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchdog.observers", None)
    with pytest.raises(SetupError, match=r"pip install '\.\[watch\]'"):
        FolderWatch([tmp_path])


# --------------------------------------------------------------------------- the command


class Watching:
    """``vidscan scan --watch`` with the fake scanner, over ``folder``/in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inbox = folder, folder / "in"
        self.inbox.mkdir(exist_ok=True)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("VIDSCAN_")}
        self.process = subprocess.Popen(
            [*FAKE, "scan", "in", "--index", "page.html", "--watch", "--jobs", "1"],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=clean | {"PYTHONPATH": str(ROOT), "FAKE_LOG": str(self.folder / "log")},
            # A shell that started these tests in the background made them deaf to it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def stop(self, kind: int) -> tuple[int, str, str]:
        assert self.process is not None
        self.process.send_signal(kind)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        code, self.process = self.process.returncode, None
        return code, out, err

    def page(self) -> str:
        path = self.folder / "page.html"
        return path.read_text("utf-8") if path.exists() else ""

    def scanned(self) -> list[str]:
        log = self.folder / "log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    one = Watching(tmp_path)
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_an_inbox_is_watched_and_survives_restarts(watching: Watching) -> None:
    (watching.inbox / "a.mp4").write_text("manipulated")
    watching.start()
    assert until(lambda: "a.mp4" in watching.page())
    (watching.inbox / "b.mp4").write_text("no_manipulation_found")
    assert until(lambda: "b.mp4" in watching.page())
    assert "Updated 20" in watching.page()
    code, out, err = watching.stop(signal.SIGINT)
    assert (code, out) == (130, "") and "Traceback" not in err
    assert "in/b.mp4: No face manipulation found in" in err
    watching.start()
    (watching.inbox / "c.mp4").write_text("uncertain")
    assert until(lambda: "c.mp4" in watching.page())
    # A file that is replaced has one row: what it holds now.
    (watching.inbox / "b.mp4").write_text("uncertain now")
    assert until(lambda: watching.scanned().count("b.mp4") == 2)
    assert until(lambda: watching.page().count('data-label="uncertain"') == 2)
    watching.stop(signal.SIGKILL)
    assert watching.page().count("<tr ") == 1 + 3
    lines = (watching.folder / "page.jsonl").read_text().splitlines()
    assert [Path(json.loads(line)["input"]["path"]).name for line in lines] == [
        "a.mp4", "b.mp4", "c.mp4", "b.mp4"
    ]  # fmt: skip
    assert watching.scanned() == ["a.mp4", "b.mp4", "c.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "--watch needs --index OUT.html or --out FILE"),
        (("--out", "r.csv", "--format", "csv"), "--watch needs --format jsonl"),
        (("--index", "p.html", "absent"), "--watch needs folders"),
    ],
)
def test_what_a_watch_refuses(more: tuple[str, ...], message: str, watching: Watching) -> None:
    result = subprocess.run(
        [*FAKE, "scan", "in", "--watch", *more],
        capture_output=True, text=True, cwd=watching.folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 2 and message in result.stderr and result.stderr.count("\n") == 1
