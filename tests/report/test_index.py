"""The index page of a folder scan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sample_reports import sample

from vidscan.report.index import WrittenPages, write_index
from vidscan.types import ErrorInfo, Report

LABELS = ("no_face", "no_manipulation_found", "error", "manipulated", "uncertain")


def report(label: str, path: str | bytes, score: float | None = None) -> Report:
    error = ErrorInfo("corrupt", "moov atom not found") if label == "error" else None
    made = sample(label, path=path, error=error)
    return made if score is None else replace(made, verdict=replace(made.verdict, score=score))


def written(tmp_path: Path, rows: list[tuple[Report, str | None]]) -> str:
    out = tmp_path / "pages" / "index.html"
    write_index(iter(rows), out, title="uploads")
    assert [p.name for p in out.parent.iterdir()] == ["index.html"]
    return out.read_text("utf-8")


def body(text: str) -> list[str]:
    return re.findall(r"<tr data-label.*?</tr>", text, re.DOTALL)


def test_all_rows_are_there_without_a_script_the_most_urgent_first(tmp_path: Path) -> None:
    rows = [(report(label, f"in/{label}.mp4"), None) for label in LABELS]
    rows.append((report("manipulated", "in/worse.mp4", 0.97), None))
    found = body(written(tmp_path, rows))
    names = [re.search(r'class="file">(.*?) <', row).group(1) for row in found]  # type: ignore[union-attr]
    assert names == [
        "worse.mp4",
        "manipulated.mp4",
        "uncertain.mp4",
        "error.mp4",
        "no_face.mp4",
        "no_manipulation_found.mp4",
    ]
    assert "<code>corrupt</code> moov atom not found" in found[3]


def test_an_error_does_not_repeat_the_file_that_its_row_names(tmp_path: Path) -> None:
    error = ErrorInfo("corrupt", "in/a.mp4: moov atom not found")
    (row,) = body(written(tmp_path, [(sample("error", path="in/a.mp4", error=error), None)]))
    assert "<code>corrupt</code> moov atom not found" in row


def test_counts_and_error_codes_head_the_page(tmp_path: Path) -> None:
    rows = [(report("error", f"{n}.mp4"), None) for n in range(3)] + [
        (report("no_manipulation_found", "a.mp4"), None)
    ]
    text = written(tmp_path, rows)
    assert re.search(r"<strong>3</strong> <span>Could not be scanned", text)
    assert re.search(r"<strong>0</strong> <span>Manipulated", text)
    assert "<code>corrupt</code>&nbsp;3" in text


@pytest.mark.parametrize(
    ("link", "href"),
    [
        ("clips/a b#1?.html", "./clips/a%20b%231%3F.html"),
        ("javascript:alert(1).html", "./javascript%3Aalert%281%29.html"),
        ("bad\udcff.html", "./bad%FF.html"),
        ('"><b>.html', "./%22%3E%3Cb%3E.html"),
    ],
)
def test_links_are_relative_and_quoted(tmp_path: Path, link: str, href: str) -> None:
    assert f'<a href="{href}">' in written(tmp_path, [(report("no_manipulation_found", "a.mp4"), link)])


def test_absolute_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not relative"):
        write_index([(report("no_manipulation_found", "a.mp4"), "/etc/a.html")], tmp_path / "index.html")
    assert not list(tmp_path.iterdir())


def test_names_are_only_text(tmp_path: Path) -> None:
    text = written(tmp_path, [(report("no_manipulation_found", b"<b>\xff\"' \xe2\x80\xae.mp4"), "x.html")])
    assert "<b>" not in text and "\u202e" not in text
    assert r"&lt;b&gt;\xff&#34;&#39; \u202e.mp4" in text


def test_pages_are_found_by_name_and_else_by_content(tmp_path: Path) -> None:
    for name in ("a-cdcdcdcd.html", "b-cdcdcdcd.html", "c-00000000.html", "index.html"):
        (tmp_path / name).touch()
    pages = WrittenPages(tmp_path)
    assert pages.find(report("no_manipulation_found", "in/b.mp4")) == "b-cdcdcdcd.html"
    assert pages.find(report("no_manipulation_found", "in/other.mp4")) in (
        "a-cdcdcdcd.html",
        "b-cdcdcdcd.html",
    )
    assert pages.find(report("error", "in/b.mp4")) is None
    assert pages.find(sample("no_manipulation_found", "c.mp4", sha256=None)) is None
    assert pages.find(sample("no_manipulation_found", "c.mp4", sha256="ef" * 32)) is None


def test_an_empty_folder_is_a_page_too(tmp_path: Path) -> None:
    text = written(tmp_path, [])
    assert "0 files" in text and not body(text)


def test_ten_thousand_reports_are_let_go_as_they_come(tmp_path: Path) -> None:
    alive = 0

    class Counted(Report):  # type: ignore[misc]
        """A report that says when it goes."""

        __slots__ = ()

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    base = report("no_manipulation_found", "a.mp4")
    fields = {name: getattr(base, name) for name in Report.__dataclass_fields__}
    most = 0

    def rows() -> Iterator[tuple[Report, None]]:
        nonlocal alive, most
        for _ in range(10_000):
            alive += 1
            most = max(most, alive)
            yield Counted(**fields), None

    out = tmp_path / "index.html"
    write_index(rows(), out)
    assert most < 10
    assert len(body(out.read_text("utf-8"))) == 10_000
