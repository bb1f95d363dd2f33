from __future__ import annotations

from vidscan.markdown import table


def test_every_line_has_every_column() -> None:
    lines = table(("name", "share"), [["a", "1%"], ("b", "")])
    assert lines == ["| name | share |", "|---|---|", "| a | 1% |", "| b |  |"]
