"""The page in a real browser: upload, progress, verdict, report, delete, errors; axe, keyboard, phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_service import clip
from servers import TOKEN, Served, fake_engine, served

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

pytestmark = pytest.mark.slow
expect = playwright.expect
expect.set_options(timeout=120_000)  # machines may be busy
HOSTILE = "<img src=x onerror=alert(1)>\u202e'.mp4"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("data"), fake_engine(jobs=1), max_upload=50_000) as running:
        labels = ("manipulated", "uncertain", "no_face", "no_manipulation_found", "raise")
        names = {f"{label}.mp4": label for label in labels} | {HOSTILE: "no_face hostile"}
        for name, words in names.items():
            answer = running.post(clip(words), name, masks="true")
            assert answer.status_code == 202, answer.text
            running.ended(answer.json()["id"])
        yield running


def opened(browser: Any, url: str, *, scheme: str = "light", width: int = 1200) -> Any:
    """A page whose console errors and requests to elsewhere fail the test (see :func:`close`)."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda request: request.url.startswith(url) or page.wrong.append(request.url))
    page.goto(url)
    return page


def close(page: Any, *allowed: str) -> None:
    wrong = [text for text in page.wrong if not any(part in text for part in allowed)]
    page.context.close()
    assert wrong == []


def cards(page: Any) -> Any:
    return page.locator("#jobs > li:visible")


def accessible(page: Any) -> None:
    result = axe.Axe().run(page, options={"resultTypes": ["violations", "passes"]}).response
    assert [(v["id"], v["nodes"][0]["html"]) for v in result["violations"]] == []
    assert len(result["passes"]) > 10, "axe did not look"


@pytest.mark.parametrize(
    ("path", "scheme", "width"), [("/", "light", 1200), ("/", "dark", 360), ("/docs", "dark", 360)]
)
def test_no_errors_no_network_accessible(
    browser: Any, server: Served, path: str, scheme: str, width: int
) -> None:
    page = opened(browser, server.url + path if path != "/" else server.url, scheme=scheme, width=width)
    if path == "/":
        expect(cards(page)).to_have_count(6)
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


def test_from_a_file_to_its_report_and_away(browser: Any, server: Served, tmp_path: Path) -> None:
    page = opened(browser, server.url)
    expect(cards(page)).to_have_count(6)
    file = tmp_path / "a clip.mp4"
    file.write_bytes(clip("creep manipulated"))
    page.get_by_label("Choose files").set_input_files(file)
    card = cards(page).first
    expect(card.locator("h3")).to_have_text("a clip.mp4")
    bar = card.get_by_role("progressbar", name="Progress of a clip.mp4")
    expect(card.locator(".stamp")).to_have_text(re.compile(r"Scanning, [1-9]\d* %"))
    expect(bar).to_be_visible()
    accessible(page)
    expect(card.locator(".stamp")).to_have_text("No manipulation found")
    expect(card.locator(".words")).to_contain_text("No face manipulation found in 2 faces")
    expect(page.get_by_role("status")).to_contain_text("a clip.mp4: No face manipulation found")
    card.get_by_role("link", name="Report of a clip.mp4").click()
    page.wait_for_url("**/report.html")
    expect(page.locator("h1")).to_contain_text("No face manipulation found in 2 faces")
    assert page.title().startswith("No manipulation found: a clip.mp4")
    page.go_back()
    card = cards(page).first
    page.on("dialog", lambda dialog: dialog.accept())
    button = card.get_by_role("button", name="Delete a clip.mp4")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("a clip.mp4 is deleted.")).to_be_visible()
    expect(cards(page)).to_have_count(6)
    assert page.evaluate("document.activeElement.classList.contains('delete')"), "the focus stays in the list"
    assert server.client.get("/v1/jobs?limit=1000").json()["jobs"][-1]["name"] != "a clip.mp4"
    close(page)


def test_what_is_refused_is_said_and_can_be_dismissed(browser: Any, server: Served, tmp_path: Path) -> None:
    page = opened(browser, server.url)
    expect(cards(page)).to_have_count(6)
    (tmp_path / "notes.mp4").write_text("no video at all")
    (tmp_path / "large.mp4").write_bytes(bytes(60_000))
    page.get_by_label("Choose files").set_input_files([tmp_path / "notes.mp4", tmp_path / "large.mp4"])
    refused = cards(page).filter(has_text="Not accepted")
    expect(refused).to_have_count(2)
    expect(refused.filter(has_text="notes.mp4")).to_contain_text("not a known video or picture format")
    expect(refused.filter(has_text="large.mp4")).to_contain_text("larger than 50,000 bytes")
    accessible(page)
    for name in ("notes.mp4", "large.mp4"):
        page.get_by_role("button", name=f"Dismiss {name}").click()
    expect(cards(page)).to_have_count(6)
    close(page, "415")


def test_jobs_are_filtered_by_label_and_words(browser: Any, server: Served) -> None:
    page = opened(browser, server.url)
    expect(cards(page)).to_have_count(6)
    for label in ("No face found", "No manipulation found", "Could not be scanned"):
        page.get_by_label(label, exact=False).first.uncheck()
    expect(cards(page)).to_have_count(2)
    assert {card.locator("h3").inner_text() for card in cards(page).all()} == {
        "manipulated.mp4",
        "uncertain.mp4",
    }
    page.get_by_label("Find in names").fill("UNCERTAIN.mp4")
    expect(cards(page)).to_have_count(1)
    assert page.locator("#shown").inner_text() == "1 of 6 match"
    page.get_by_label("Find in names").fill("nothing of the kind")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    close(page)


def test_a_hostile_name_is_only_text(browser: Any, server: Served) -> None:
    page = opened(browser, server.url)
    name = cards(page).first.locator("h3")
    expect(name).to_have_text("<img src=x onerror=alert(1)>\\u202e'.mp4")
    assert page.locator("#jobs img").count() == 0
    close(page)


def test_deleted_elsewhere_and_a_server_that_is_gone(browser: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server:
        ids = [server.post(clip(str(n)), f"{n}.mp4").json()["id"] for n in range(2)]
        page = opened(browser, server.url)
        expect(cards(page)).to_have_count(2)
        expect(cards(page).first.locator(".stamp")).to_have_text("Waiting")
        server.client.delete(f"/v1/jobs/{ids[0]}")
        expect(cards(page)).to_have_count(1)
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    accessible(page)
    close(page, "ERR_CONNECTION")


def test_signing_in_with_the_keyboard(browser: Any, tmp_path: Path) -> None:
    with served(tmp_path, token=TOKEN) as server:
        page = opened(browser, server.url)
        page.wait_for_url("**/login")
        accessible(page)
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        accessible(page)
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Videos and pictures to scan")).to_be_visible()
        expect(page.get_by_text("Nothing here yet.")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        close(page, "403")
