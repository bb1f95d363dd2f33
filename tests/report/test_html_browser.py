"""The HTML pages in a real browser: no errors, no network, accessible, keyboard, two printed pages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_reports import sample

from tests.series import make_series
from vidscan.report.html import write_html
from vidscan.report.index import write_index
from vidscan.report.json import to_dict
from vidscan.report.telling import TellingCrop
from vidscan.types import ErrorInfo, FrameReport, Reason, Report, Signal

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

pytestmark = pytest.mark.slow

SCHEMES = ("light", "dark")
WIDTHS = (1280, 360)
LABELS = ("no_manipulation_found", "uncertain", "manipulated", "no_face", "error")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page of each label, a picture's and an index."""
    folder = tmp_path_factory.mktemp("pages")
    for label in LABELS:
        write_html(made(label), folder / f"{label}.html", **extras(label))
    still = made("uncertain")
    clip = replace(still.input, duration_s=None, fps=None, frames_decoded=1)
    write_html(
        replace(still, input=clip), folder / "picture.html", telling=extras("uncertain")["telling"][:1]
    )
    rows = [(made(label, f"in/{label} {n}.mp4"), f"{label}.html") for label in LABELS for n in range(4)]
    write_index(rows, folder / "index.html", title="in")
    return folder


def made(label: str, path: str = "x/<img src=x onerror=alert(1)>\u202e'\".mp4") -> Report:
    error = ErrorInfo("corrupt", "moov atom not found") if label == "error" else None
    report = sample(label, path=path, error=error)
    if report.verdict.score is None:
        return report
    frames = tuple(
        FrameReport(n, n / 25, track, (200.0, 90.0, 300.0, 220.0), None if n % 3 else score, None)
        for n in range(300)
        for track, score in ((1, 0.95 if 75 < n < 200 else 0.2), (2, 0.1))
    )
    reasons = report.verdict.reasons and (
        Reason("patches", "local texture looks manipulated", 1, 3.0, 8.0, 0.8),
        Reason("blink", "blinks rarely", 1, 0.0, 12.0, 0.2),
    )
    values = {f"value_{n}": n / 7 for n in range(9)}
    signals = report.signals | {"blink": Signal(0.4, "ok", 0.2, values)}
    verdict = replace(report.verdict, reasons=reasons)
    return replace(report, frames=frames, signals=signals, verdict=verdict)


def extras(label: str) -> dict[str, Any]:
    if label in ("no_face", "error"):
        return {}
    crop = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    probability = np.linspace(0, 1, 361, dtype=np.float32).reshape(19, 19)
    return {
        "telling": [TellingCrop(3.0 + n, 1, 0.9, crop, probability) for n in range(5)],
        "series": [make_series(track_id=1)],
        "thumbnails": {n: np.full((90, 160, 3), n % 255, np.uint8) for n in range(0, 300, 12)},
    }


def opened(browser: Any, file: Path, scheme: str = "light", width: int = 1200, **options: Any) -> Any:
    """A page whose console errors and requests over the network fail the test (see :func:`close`)."""
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, accept_downloads=True, **options
    )
    page = context.new_page()
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("dialog", lambda dialog: page.wrong.append(dialog.message))
    page.on(
        "request",
        lambda request: request.url.startswith(("file:", "data:", "blob:")) or page.wrong.append(request.url),
    )
    page.goto(file.as_uri())
    return page


def close(page: Any) -> None:
    wrong = list(page.wrong)
    page.context.close()
    assert wrong == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", [*LABELS, "picture", "index"])
def test_no_errors_no_network_accessible(
    browser: Any, pages: Path, name: str, scheme: str, width: int
) -> None:
    page = opened(browser, pages / f"{name}.html", scheme, width)
    for details in page.query_selector_all("details"):
        details.evaluate("one => one.open = true")
    result = axe.Axe().run(page, options={"resultTypes": ["violations", "passes"]}).response
    assert [(v["id"], v["nodes"][0]["html"]) for v in result["violations"]] == []
    assert len(result["passes"]) > 10, "axe did not look"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    close(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_runs_through_a_name_on_the_scale(browser: Any, pages: Path, width: int) -> None:
    page = opened(browser, pages / "manipulated.html", width=width)
    boxes = {
        part: [one.bounding_box() for one in page.query_selector_all(f".scale {part}")]
        for part in (".zone-name", ".edge", ".tick")
    }
    assert len(boxes[".zone-name"]) == 3 and len(boxes[".edge"]) == 2

    def apart(a: dict[str, float], b: dict[str, float]) -> bool:
        across = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
        return across or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]

    names = boxes[".zone-name"]
    others = boxes[".edge"] + boxes[".tick"]
    assert all(apart(name, other) for name in names for other in others)
    assert all(apart(a, b) for n, a in enumerate(names) for b in names[:n])
    below = page.query_selector(".odds").bounding_box()
    assert all(name["y"] + name["height"] <= below["y"] for name in names)
    close(page)


@pytest.mark.parametrize("name", [*LABELS, "picture"])
def test_prints_on_two_pages(browser: Any, pages: Path, name: str, tmp_path: Path) -> None:
    page = opened(browser, pages / f"{name}.html")
    file = tmp_path / "print.pdf"
    page.pdf(path=file, prefer_css_page_size=True, print_background=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", file.read_bytes())) <= 2
    close(page)


def test_a_strange_script_or_style_is_stopped_by_the_policy(
    browser: Any, pages: Path, tmp_path: Path
) -> None:
    text = (pages / "manipulated.html").read_text("utf-8")
    evil = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><style>h1{color:red}</style>"
    file = tmp_path / "evil.html"
    file.write_text(text.replace("<footer>", evil + "<footer>"), "utf-8")
    page = opened(browser, file)
    assert page.evaluate("window.ran") is None
    assert page.locator("h1").evaluate("h => getComputedStyle(h).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in text for text in page.wrong)
    page.context.close()


def test_the_timeline_by_mouse_and_by_keyboard(browser: Any, pages: Path) -> None:
    page = opened(browser, pages / "manipulated.html")
    scrub = page.locator(".scrub").first
    plot, words = scrub.locator(".plot"), scrub.locator(".readout-text")
    assert "this look 0.95" in words.inner_text()  # it starts at the highest
    box = plot.bounding_box()
    plot.hover(position={"x": box["width"] * 0.08, "y": 60})
    assert words.inner_text() == "0:00:01.0, texture of this look 0.20"
    assert scrub.locator("img").get_attribute("src").startswith("data:image/jpeg")
    assert scrub.locator("img").is_visible()
    slider = scrub.get_by_role("slider")
    slider.focus()
    before = words.inner_text()
    page.keyboard.press("ArrowRight")
    assert words.inner_text() == "0:00:01.1, texture of this look 0.20" != before
    assert slider.get_attribute("aria-valuetext") == words.inner_text()
    page.keyboard.press("End")
    assert words.inner_text().startswith("0:00:11.9")
    cursor = scrub.locator(".cursor").get_attribute("x1")
    assert float(cursor.rstrip("%")) == pytest.approx(100 * 297 / 25 / 12.5, abs=0.01)
    close(page)


_CELLS = """
() => [...document.querySelectorAll('tbody td')].filter((td) => td.offsetParent).map((td) => ({
  name: td.dataset.name, label: getComputedStyle(td, '::before').content, text: td.innerText.trim(),
  right: Math.max(...[td, ...td.querySelectorAll('*')].map((one) => one.getBoundingClientRect().right)),
}))
"""


@pytest.mark.parametrize("name", ["manipulated", "index"])
def test_at_400_pixels_tables_are_lists_and_nothing_is_cut(browser: Any, pages: Path, name: str) -> None:
    page = opened(browser, pages / f"{name}.html", width=400)
    for details in page.query_selector_all("details"):
        details.evaluate("one => one.open = true")
    cells = page.evaluate(_CELLS)
    assert len(cells) > 20
    for cell in cells:
        assert cell["label"] == json.dumps(cell["name"]), cell  # the column's name stands before the value
        assert cell["text"] not in ("", "–") and cell["right"] <= 400, cell
    for region in page.query_selector_all(".scroll"):
        assert region.evaluate("one => one.scrollWidth <= one.clientWidth")
    scores = [cell["text"] for cell in cells if cell["name"] == "Score"]
    assert "0.90" in scores and (name != "index" or len(scores) == 3 * 4)
    assert page.get_by_role("table").count() >= 1 and page.get_by_role("cell").count() >= len(cells)
    close(page)


def test_at_400_pixels_the_index_still_sorts(browser: Any, pages: Path) -> None:
    page = opened(browser, pages / "index.html", width=400)
    button = page.get_by_role("columnheader", name="Score").get_by_role("button")
    assert button.is_visible()
    button.click()
    assert "no_manipulation_found" in page.locator("tbody tr:visible th").first.inner_text()
    page.get_by_label("Find in names").fill("CORRUPT 3.mp4")
    playwright.expect(page.locator("tbody tr:visible")).to_have_count(1)
    close(page)


@pytest.mark.parametrize("width", [1280, 900, 400])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_no_picture_is_alone_on_its_row(browser: Any, tmp_path: Path, count: int, width: int) -> None:
    write_html(made("manipulated"), tmp_path / "p.html", telling=extras("manipulated")["telling"][:count])
    page = opened(browser, tmp_path / "p.html", width=width)
    tops = [one.bounding_box()["y"] for one in page.query_selector_all(".pictures li")]
    rows = [tops.count(top) for top in sorted(set(tops))]
    assert sum(rows) == count
    assert max(rows) == 1 or rows[-1] > 1
    assert (max(rows) == 1) == (width == 400 or count == 1)
    close(page)


def test_a_watched_index_reloads_itself_unless_somebody_is_at_it(browser: Any, tmp_path: Path) -> None:
    rows = [(made("manipulated", "in/a.mp4"), None)]
    write_index(rows, tmp_path / "index.html", updated=datetime(2026, 1, 2, 3, 4, 5))
    index = tmp_path / "index.html"
    # By a real clock: a false one is wound forward anew on every load, which then loads once more.
    text = index.read_text("utf-8")
    assert 'data-reload="20"' in text
    index.write_text(text.replace('data-reload="20"', 'data-reload="1"'), "utf-8")
    page = browser.new_context().new_page()
    page.goto(index.as_uri())
    assert "Updated 2026-01-02 03:04:05" in page.locator("#watch").inner_text()

    def reloads() -> None:
        with page.expect_navigation():
            pass

    def stays() -> bool:
        page.evaluate("window.here = true")
        page.wait_for_timeout(2500)
        return bool(page.evaluate("window.here"))

    reloads()
    page.get_by_label("Find in names").fill("a")
    assert stays()
    page.get_by_label("Reload every").uncheck()
    page.get_by_label("Find in names").fill("")
    assert stays()
    assert page.url.endswith("index.html#still")
    page.reload()
    assert not page.get_by_label("Reload every").is_checked()
    page.get_by_label("Reload every").check()
    assert page.url.endswith("index.html")
    reloads()
    assert page.get_by_label("Reload every").is_checked()
    page.context.close()
    write_index(rows, tmp_path / "index.html")
    assert (
        "watch"
        not in (tmp_path / "index.html").read_text("utf-8").partition("<main")[2].partition("<script")[0]
    )


def test_the_json_can_be_saved(browser: Any, pages: Path, tmp_path: Path) -> None:
    page = opened(browser, pages / "manipulated.html")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download JSON").click()
    waiting.value.save_as(tmp_path / "saved.json")
    saved = json.loads((tmp_path / "saved.json").read_text("utf-8"))
    assert saved == to_dict(made("manipulated"))
    close(page)


def test_without_a_script_everything_is_there_and_no_button_is_dead(browser: Any, pages: Path) -> None:
    page = opened(browser, pages / "manipulated.html", java_script_enabled=False)
    assert page.locator("button:visible, input:visible").count() == 0
    assert page.locator(".timeline").count() == 2
    assert "Strongest look at" in page.locator(".readout-text").first.inner_text()
    assert page.get_by_text("arrow keys").is_visible() is False
    page.context.close()
    page = opened(browser, pages / "index.html", java_script_enabled=False)
    assert page.locator("tbody tr:visible").count() == 20
    assert page.locator("button:visible, input:visible").count() == 0
    page.context.close()


def test_the_index_sorts_and_filters(browser: Any, pages: Path) -> None:
    page = opened(browser, pages / "index.html")
    shown = page.locator("tbody tr:visible")
    first = page.locator("tbody tr:visible th").first
    head = page.get_by_role("columnheader", name="Score")
    button = head.get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("th[aria-sort]").count() == 1
    assert "no_manipulation_found" in first.inner_text()
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert "manipulated" in first.inner_text()
    assert "–" in page.locator("tbody tr:visible").last.locator("td").nth(1).inner_text()  # no score: last
    page.get_by_label("Manipulated").uncheck()
    assert shown.count() == 16
    page.get_by_label("Find in names").fill("CORRUPT 3.mp4")
    playwright.expect(shown).to_have_count(1)
    assert page.get_by_role("status").inner_text() == "1 of 20 match"
    page.get_by_label("Find in names").fill("nothing of the kind")
    page.get_by_role("button", name="Show all").click()
    assert shown.count() == 20
    first.get_by_role("link").click()
    page.wait_for_url("**/manipulated.html")
    close(page)


def test_a_large_index_shows_its_rows_in_steps(browser: Any, tmp_path: Path) -> None:
    base = sample("no_manipulation_found")
    rows = (
        (
            replace(
                base,
                verdict=replace(base.verdict, score=n / 2000),
                input=replace(base.input, path=f"{n}.mp4"),
            ),
            None,
        )
        for n in range(1200)
    )
    write_index(rows, tmp_path / "index.html")
    page = opened(browser, tmp_path / "index.html")
    shown, status = page.locator("tbody tr:visible"), page.get_by_role("status")
    assert shown.count() == 500
    assert status.inner_text() == "1,200 of 1,200 match, the first 500 shown"
    page.get_by_role("columnheader", name="Score").get_by_role("button").click()
    assert shown.count() == 500 and shown.first.locator("th").inner_text() == "0.mp4"
    page.get_by_label("Find in names").fill("1199.mp4")
    playwright.expect(shown).to_have_count(1)
    page.get_by_label("Find in names").fill("")
    playwright.expect(shown).to_have_count(500)
    for count in (1000, 1200):
        page.get_by_role("button", name="Show 500 more").click()
        assert shown.count() == count
    assert page.get_by_role("button", name="Show 500 more").is_hidden()
    close(page)
