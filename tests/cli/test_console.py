"""What goes to stderr while a batch runs."""

from __future__ import annotations

import io
import sys

import pytest

from vidscan.cli.console import Progress


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
