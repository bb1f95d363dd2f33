"""The HTML report: what it says, that nothing in it can run, and that it is one whole file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from sample_reports import sample

from tests.behavior.blinking import disagreeing
from tests.series import make_series
from vidscan.report.charts import Domain, clock, ticks
from vidscan.report.html import render_html, write_html
from vidscan.report.json import loads, to_dict
from vidscan.report.telling import MAX_TELLING, TellingCrop, suspicious
from vidscan.report.words import LABEL_NAMES, calibration_words
from vidscan.types import Calibration, ErrorInfo, FrameReport, Note, Report, Segment

LABELS = ("no_manipulation_found", "uncertain", "manipulated", "no_face", "error")


class Page(HTMLParser):
    """The text, tags and scripts of a page, as a browser would take them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, str] = {}
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = (dict(attrs).get("id") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.blocks[self._inside] = self.blocks.get(self._inside, "") + data
        else:
            self.text += " " + " ".join(data.split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def scanned(label: str = "manipulated", seconds: float = 12.5) -> Report:
    """A report with the frames of both faces, every third one scored."""
    frames = [
        FrameReport(
            n, n / 25, track, (10.0, 20.0, 60.0, 80.0), None if n % 3 else 0.3 + 0.5 * (n > 100), None
        )
        for n in range(int(25 * seconds))
        for track in (1, 2)
    ]
    return replace(sample(label), frames=tuple(frames))


def telling(count: int = 1, peak: tuple[int, int] = (16, 9)) -> list[TellingCrop]:
    probability = np.full((19, 19), 0.1, np.float32)
    probability[peak] = 0.9
    crop = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return [TellingCrop(float(n), 1, 0.9 - n / 100, crop, probability) for n in range(count)]


@pytest.mark.parametrize("label", LABELS)
def test_says_the_verdict_and_what_it_does_not_mean(label: str) -> None:
    error = ErrorInfo("corrupt", "moov atom not found") if label == "error" else None
    page = Page(render_html(sample(label, error=error)))
    assert LABEL_NAMES[label] in page.text  # type: ignore[index]
    assert "It does not mean" in page.text and "What to do next" in page.text
    charts = [tag for tag in page.all("svg") if "scale" in (tag.get("class") or "")]
    assert len(charts) == (label not in ("no_face", "error"))
    if error:
        assert "moov atom not found (corrupt)" in page.text
    assert len(page.all("h1")) == 1


@pytest.mark.parametrize("label", LABELS)
def test_the_json_inside_is_the_report(label: str) -> None:
    report = scanned(label) if label == "manipulated" else sample(label)
    report = replace(report, warnings=(Note("w", "</script><script>alert(1)</script><!-- & \u2028"),))
    page = Page(render_html(report))
    assert json.loads(page.blocks["report"]) == to_dict(report)
    assert loads(page.blocks["report"]).warnings == report.warnings
    assert len(page.all("script")) == 3


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.mp4",
        "\"' onmouseover='alert(1).mp4",
        "{{ 7 * 7 }}{% raw %}.mp4",
        "\u202egpj.exe\u2066.mp4",
        b"bad\xff\xfe.mp4",
        "new\nline\x1b[31m.mp4",
    ],
)
def test_file_names_are_only_text(name: str | bytes) -> None:
    plain = Page(render_html(sample("manipulated")))
    text = render_html(sample("manipulated", path=name))
    page = Page(text)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert not set(text) & set("\u202e\u2066\x1b")
    text.encode("utf-8")
    assert ("49" in page.text) == ("49" in plain.text)
    if isinstance(name, bytes):
        assert r"bad\xff\xfe.mp4" in page.text


def test_policy_allows_the_own_script_and_style_by_hash_and_nothing_else() -> None:
    page = Page(render_html(scanned(), telling=telling(), series=[make_series(track_id=1)]))
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for kind, block in (("script-src", "script"), ("style-src", "style")):
        digest = base64.b64encode(hashlib.sha256(page.blocks[block].encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag  # the policy would drop it
        for key in ("src", "href"):
            value = attributes.get(key) or "#"
            assert value.startswith(("#", "data:image/jpeg;base64,")), (tag, value)
    assert "url(" not in page.blocks["style"] and "@import" not in page.blocks["style"]


def test_the_same_report_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.html", "new/b.html"):
        write_html(scanned(), tmp_path / name, telling=telling(3), series=[make_series(track_id=1)])
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "new" / "b.html").read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_a_failure_leaves_the_old_file_alone(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    broken = replace(sample(), verdict=replace(sample().verdict, score=float("nan")))
    with pytest.raises(ValueError):
        write_html(broken, out)
    assert out.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_crops_stand_beside_heatmaps_with_words_for_both() -> None:
    page = Page(render_html(scanned(), telling=telling(MAX_TELLING + 2)))
    images = [image for image in page.all("img") if (image.get("src") or "").startswith("data:")]
    assert len(images) == 2 * MAX_TELLING
    assert all(image["alt"] for image in images)
    assert "Face 1 at 0:00:00.0" in (images[0]["alt"] or "")
    assert "lower middle (0.90)" in (images[1]["alt"] or "")


def flat(label: str, score: float, *stretches: Segment) -> Report:
    """A report whose every look at a face has one score."""
    report = scanned(label)
    frames = (f if f.score is None else replace(f, score=score) for f in report.frames)
    return replace(report, frames=tuple(frames), segments=stretches)


def test_looks_that_are_not_suspicious_are_said_not_shown() -> None:
    quiet = flat("no_manipulation_found", 0.0312)
    assert suspicious(quiet) == []
    text = Page(render_html(quiet)).text
    assert "Nothing was found, so there is no place to point at (strongest look at 0:00:00.0: 0.03)." in text
    assert "The most telling" not in text
    assert "rests on other measurements" in Page(render_html(flat("manipulated", 0.2))).text
    # Looks in a suspicious stretch tell something; without frames nobody knows.
    loud = flat("manipulated", 0.5, Segment(1, 2.0, 4.0, 3.0, 0.5))
    assert {f.track_id for f in suspicious(loud)} == {1}
    assert all(2 <= f.time_s <= 4 for f in suspicious(loud)) and len(suspicious(loud)) == 17
    for report in (loud, sample("no_manipulation_found")):
        assert "no place to point at" not in render_html(report)


def test_a_single_reason_is_not_said_to_be_all_of_the_verdict() -> None:
    report = scanned()
    assert "of the verdict</span>" not in render_html(report)
    two = (*report.verdict.reasons, replace(report.verdict.reasons[0], code="blink", weight=0.2))
    page = render_html(replace(report, verdict=replace(report.verdict, reasons=two)))
    assert page.count("% of the verdict</span>") == 2


@pytest.mark.parametrize(
    ("peak", "words"), [((0, 0), "upper left"), ((9, 9), "the middle ("), ((9, 18), "middle right")]
)
def test_heatmap_words_name_the_place(peak: tuple[int, int], words: str) -> None:
    assert words in render_html(scanned(), telling=telling(1, peak))


def test_timelines_of_all_faces_the_worst_first() -> None:
    page = Page(render_html(scanned()))
    assert [d["data-track"] for d in page.all("div") if "data-track" in d] == ["1", "2"]
    charts = [t for t in page.all("svg") if "timeline" in (t.get("class") or "")]
    assert len(charts) == 2 and all(chart["role"] == "img" for chart in charts)
    assert "Strongest look at 0:00:04.1: 0.80." in (charts[0]["aria-label"] or "")
    # The verdict's thresholds are for faces, not for single looks.
    assert not [t for t in page.all("line") if "threshold" in (t.get("class") or "")]
    # One shaded segment and one numbered reason belong to face 1.
    segments = [t for t in page.all("rect") if t.get("class") == "segment" and "%" in (t["width"] or "")]
    marks = [t for t in page.all("circle") if t.get("class") == "mark" and "%" in (t["cx"] or "")]
    assert len(segments) == len(marks) == 1
    assert float(segments[0]["x"].rstrip("%")) == pytest.approx(100 * 3.04 / 12.5, abs=0.01)  # type: ignore[union-attr]


def test_long_clips_stay_small() -> None:
    """A line of 30,000 looks is drawn with a bounded number of points, but keeps its extremes."""
    report = scanned()
    frames = [FrameReport(n, n / 8, 1, (0.0, 0.0, 9.0, 9.0), 0.2, None) for n in range(30_000)]
    frames[12_345] = replace(frames[12_345], score=1.0)
    page = Page(render_html(replace(report, frames=tuple(frames))))
    path = next(t["d"] for t in page.all("path") if t.get("class") == "line score")
    assert path is not None and len(re.findall("[ML]", path)) < 2000
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    # Not on the chart's edge, where a flat line could not be told from it.
    assert 0 < min(heights) < max(heights) < 96
    assert heights.count(min(heights)) == 1


def test_gaps_break_a_line() -> None:
    def moves(times: list[float]) -> int:
        frames = [FrameReport(n, t, 1, (0.0, 0.0, 9.0, 9.0), 0.5, None) for n, t in enumerate(times)]
        page = Page(render_html(replace(scanned(), frames=tuple(frames))))
        return next(t["d"] for t in page.all("path") if t.get("class") == "line score").count("M")

    assert moves([0.0, 0.1, 0.2, 0.3]) == 1
    assert moves([0.0, 0.1, 5.0, 5.1]) == 2


def test_thumbnails_are_small_and_of_known_frames() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    page = Page(render_html(scanned(), thumbnails={0: picture, 3: picture, 99_999: picture}))
    kept = json.loads(page.blocks["thumbnails"])
    assert list(kept) == ["0", "3"]
    assert all(uri.startswith("data:image/jpeg;base64,") and len(uri) < 3000 for uri in kept.values())


def test_behaviour_is_drawn_or_said_to_be_missing() -> None:
    page = Page(render_html(scanned()))
    assert "were not measured" in page.text
    openness = np.full((300, 2), 0.9, np.float32)
    openness[100:105] = 0.05
    page = Page(render_html(scanned(), series=[make_series(track_id=1, openness=openness)]))
    assert "1 blink, " in page.text and "(shaded)" in page.text and "were not measured" not in page.text
    assert len([t for t in page.all("svg") if "small" in (t.get("class") or "")]) == 4
    assert len([t for t in page.all("rect") if t.get("class") == "event"]) == 1


@pytest.mark.parametrize(("rule", "blinks"), [("network", 3), ("openness", 2), ("ear", 1)])
def test_blinks_are_drawn_by_the_rule_of_the_scan(rule: str, blinks: int) -> None:
    report = scanned()
    report = replace(report, settings=report.settings | {"blink_rule": rule})
    series = replace(disagreeing(300), track_id=1)
    page = Page(render_html(report, series=[series if rule == "network" else replace(series, shut=None)]))
    assert len([t for t in page.all("rect") if t.get("class") == "event"]) == blinks


def test_a_series_that_was_lost_throughout_is_left_out() -> None:
    whole = make_series(track_id=1)
    names = ("landmarks", "units", "openness", "rotation", "gaze")
    lost = replace(whole, **{name: np.full_like(getattr(whole, name), np.nan) for name in names})
    assert "were not measured" in render_html(scanned(), series=[lost])


def test_a_picture_has_no_timeline() -> None:
    report = scanned()
    clip = replace(report.input, duration_s=None, fps=None, frames_decoded=1)
    page = Page(render_html(replace(report, input=clip, frames=report.frames[:2]), telling=telling()))
    assert not [t for t in page.all("svg") if "timeline" in (t.get("class") or "")]
    assert "frame by frame" not in page.text
    assert len([i for i in page.all("img") if i.get("src")]) == 2


def test_quality_and_warnings_stand_out() -> None:
    page = Page(render_html(sample("uncertain")))
    assert "Mind this" in page.text and "The file ends early" in page.text
    assert "Mind this" not in Page(render_html(sample("no_manipulation_found"))).text


def test_calibration_in_words() -> None:
    said = " ".join(calibration_words(Calibration(419, "all", 0.01, 0.012, (0.003, 0.031))))
    assert "419 genuine people" in said and "at most 1 in 100" in said
    assert "1.2 %" in said and "0.3 % to 3.1 %" in said
    assert "not been measured" in " ".join(calibration_words(Calibration(419, "all", 0.01, None, None)))
    assert calibration_words(Calibration(0, "", 0.0, None, None)) == ()


@pytest.mark.parametrize("span", [0.04, 0.7, 1.0, 9.9, 61.0, 3600.0, 1e6])
def test_ticks_are_few_and_inside(span: float) -> None:
    times = ticks(Domain(0.0, span))
    assert 1 <= len(times) <= 7
    assert times[0] == 0 and times[-1] <= span * (1 + 1e-9)
    assert len({clock(t) for t in times}) == len(times) or span < 0.5


def test_clock() -> None:
    assert [clock(t) for t in (0, 0.5, 65, 3600, 7265)] == ["0:00", "0:00.5", "1:05", "1:00:00", "2:01:05"]
