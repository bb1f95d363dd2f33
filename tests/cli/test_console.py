"""What goes to stderr while a batch runs."""

from __future__ import annotations

import io
import sys

import pytest

from vidscan.cli.console import Paced, Progress, loading


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_batch_shows_files_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    with Progress(4, quiet=False, rate=True) as progress:
        progress.advance()
        with progress.hidden():
            pass
    shown = stream.getvalue()
    assert "1/4 files, " in shown and "file" in shown.partition("1/4 files, ")[2] and " < " in shown


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_shown_where_nobody_watches(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal() if quiet else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(4, quiet=quiet, rate=True) as progress:
        progress.advance()
    assert stream.getvalue() == ""


def test_loading_is_said_at_once_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    used: list[int] = []
    monkeypatch.setattr("vidscan.threads.use_threads", used.append)
    with loading(quiet=False, threads=3):
        assert stream.getvalue() == "Loading ..."
    assert stream.getvalue().endswith("\r           \r") and used == [3]


@pytest.mark.parametrize("quiet", [True, False])
def test_threads_are_chosen_unless_the_environment_says(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal() if quiet else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    used: list[int] = []
    monkeypatch.setattr("vidscan.threads.use_threads", used.append)
    monkeypatch.setattr("vidscan.threads.free_cores", lambda before, after: 5)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with loading(quiet=quiet, threads=0):
        pass
    monkeypatch.delenv("OMP_NUM_THREADS")
    with loading(quiet=quiet, threads=0):
        pass
    assert used == [5] and stream.getvalue() == ""


def test_what_fails_while_loading_leaves_a_clean_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(RuntimeError), loading(quiet=False, threads=1):
        raise RuntimeError
    assert stream.getvalue().endswith("\r")


def test_what_takes_long_is_done_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now, done = [0.0], []

    def act() -> None:
        done.append(now[0])
        now[0] += 2.0

    monkeypatch.setattr("vidscan.cli.console.time.monotonic", lambda: now[0])
    page = Paced(act)
    for _ in range(100):
        page.due()
        now[0] += 0.5
    assert done == [0.0, 20.0, 40.0]
    page.due()
    page.now()  # at the end of a round, whatever was put off
    page.now()
    assert len(done) == 4
