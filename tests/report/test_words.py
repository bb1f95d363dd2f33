"""Every sentence about a verdict is made once: the same report reads alike in every place."""

from __future__ import annotations

import csv
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from sample_reports import sample

from vidscan.report.csv import COLUMNS, CsvWriter
from vidscan.report.html import render_html
from vidscan.report.index import write_index
from vidscan.report.json import dumps
from vidscan.report.meaning import meaning
from vidscan.report.shown import shown, unjudged
from vidscan.report.text import lines
from vidscan.report.words import (
    LABEL_NAMES,
    LIKENESS,
    LOOKS,
    found_words,
    headline,
    likeness,
    likeness_words,
    one_in,
    person_words,
    score_digits,
    score_words,
    strongest_words,
)
from vidscan.types import (
    Calibration,
    ErrorInfo,
    Found,
    FrameReport,
    Note,
    PersonReport,
    Reason,
    Report,
    Segment,
)

FOUND = (
    Found(0.01, 0.21, (0.15, 0.28), 170),
    Found(0.05, 0.4, (0.33, 0.48), 170),
    Found(0.1, 0.54, (0.46, 0.61), 170),
    Found(0.2, 0.7, (0.63, 0.77), 170),
)
LABELS = tuple(LABEL_NAMES)


def scanned(label: str, **changes: object) -> Report:
    error = ErrorInfo("corrupt", "clip.mp4: moov atom not found") if label == "error" else None
    report = sample(label, error=error)
    quality = replace(report.quality, flags=())
    calibration = Calibration(138, "all", 0.01, 0.012, (0.0, 0.05), FOUND)
    verdict = replace(report.verdict, calibration=calibration)
    return replace(report, verdict=verdict, quality=quality, **changes)  # type: ignore[arg-type]


def poor() -> Report:
    """One face that would be manipulated, were it not too dark."""
    report = scanned("manipulated")
    flags = (Note("face_too_dark", "face is too dark to judge"),)
    quality = replace(report.quality, flags=flags)
    track = replace(report.tracks[0], label="uncertain", quality=quality)
    reason = Reason("face_too_dark", flags[0].message, 1, 0.0, 12.5, 1.0)
    verdict = replace(report.verdict, label="uncertain", score=0.91, p_value=0.007, reasons=(reason,))
    frames = tuple(FrameReport(n, n / 8, 1, (0.0, 0.0, 9.0, 9.0), 0.97, None) for n in range(8))
    return replace(report, verdict=verdict, quality=quality, tracks=(track, report.tracks[1]), frames=frames)


def text_of(report: Report) -> str:
    return "\n".join(line.text for line in lines(report))


def page_of(report: Report) -> str:
    """What the page says, without its script, data and tags; white space made single."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", render_html(report), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", body)).split())


def index_of(report: Report, tmp_path: Path) -> str:
    write_index([(report, None)], tmp_path / "index.html")
    body = re.sub(
        r"<(script|style)\b.*?</\1>", "", (tmp_path / "index.html").read_text("utf-8"), flags=re.DOTALL
    )
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def csv_of(report: Report) -> dict[str, str]:
    stream = io.StringIO()
    CsvWriter(stream).write(report)
    return next(csv.DictReader(io.StringIO(stream.getvalue())))


@pytest.mark.parametrize("label", LABELS)
def test_the_verdict_reads_alike_everywhere(label: str, tmp_path: Path) -> None:
    report = scanned(label)
    said = headline(report)
    assert said in text_of(report)
    assert said in page_of(report)
    assert csv_of(report)["headline"] == said
    name = LABEL_NAMES[report.verdict.label]
    assert name in page_of(report)
    assert name in index_of(report, tmp_path)
    assert f"{label} ({name.lower()})" in COLUMNS["label"]
    assert "authentic" not in text_of(report) + page_of(report) + dumps(report)


@pytest.mark.parametrize("label", ["manipulated", "uncertain", "no_manipulation_found"])
@pytest.mark.parametrize("p", [1 / 139, 0.02, 0.137, 0.62, 1.0, 1e-7])
def test_a_p_value_reads_alike_everywhere(label: str, p: float, tmp_path: Path) -> None:
    report = scanned(label)
    report = replace(report, verdict=replace(report.verdict, p_value=p))
    said = likeness_words(report.verdict)
    assert said is not None and said.startswith(LIKENESS)
    assert said in text_of(report)
    assert said in page_of(report)
    share = likeness(report.verdict)
    assert share is not None and f": {share} (" in said
    found = index_of(report, tmp_path)
    assert f" {LIKENESS} " in found and f" {share} " in found
    assert COLUMNS["p_value"].startswith(LIKENESS)


def test_p_values_by_hand() -> None:
    verdict = scanned("uncertain").verdict
    words = {p: likeness(replace(verdict, p_value=p)) for p in (1 / 139, 2 / 139, 0.137, 0.8, 0.99, None)}
    assert list(words.values()) == [
        "none of 138", "about 1 in 70", "about 1 in 7", "about 8 in 10", "nearly all", None
    ]  # fmt: skip
    many = replace(verdict, p_value=1 / 1000, calibration=Calibration(999, "all", 0.01, None, None))
    assert likeness(many) == "none of 999"
    assert one_in(1 / 12_345) == "about 1 in 12,345"


@pytest.mark.parametrize("label", ["manipulated", "uncertain", "no_manipulation_found"])
def test_the_score_reads_alike_everywhere(label: str) -> None:
    report = scanned(label)
    said = score_words(report)
    assert said is not None and f"Score {report.verdict.score:.2f} on" in said
    assert said in text_of(report)
    assert said in html.unescape(render_html(report))  # what the scale is called for those who cannot see it


def test_what_the_default_finds_is_told_from_the_record() -> None:
    report = scanned("no_manipulation_found")
    said = found_words(report.verdict.calibration)
    assert said == (
        "vidscan finds 21 % of the 170 fakes that it was tested on; with --target-fpr 0.1 it finds 54 %, and "
        "accuses about 1 in 10 genuine clips."
    )
    assert said in text_of(report) and said in page_of(report)
    assert said not in text_of(scanned("manipulated"))
    loosest = replace(report.verdict.calibration, target_fpr=0.1)
    assert found_words(loosest) == "vidscan finds 54 % of the 170 fakes that it was tested on."


@pytest.mark.parametrize("calibration", [{"found": ()}, {"target_fpr": 0.03}])
def test_nothing_is_said_of_what_was_not_measured(calibration: dict[str, object]) -> None:
    report = scanned("no_manipulation_found")
    own = replace(report.verdict.calibration, **calibration)  # type: ignore[arg-type]
    report = replace(report, verdict=replace(report.verdict, calibration=own))
    assert found_words(own) is None
    assert "tested on" not in text_of(report) + page_of(report)


def test_of_a_face_too_poor_to_judge_only_that_is_told(tmp_path: Path) -> None:
    report = poor()
    assert "too dark to judge" in headline(report)
    for said in (text_of(report), page_of(report)):
        assert "face is too dark to judge" in said
        assert "the JSON report keeps it" in said
        for contradiction in ("0.91", "0.95", "0.97", LIKENESS, "strongest", "Strongest", "tested on"):
            assert contradiction not in said
    row = index_of(report, tmp_path).partition("Notes")[2]
    assert "too dark" in row and "0.91" not in row and "1 in" not in row
    assert '"score":0.91' in dumps(report) and '"peak_s":5.0' in dumps(report)
    assert csv_of(report)["score"] == "0.91" and csv_of(report)["flags"] == "face_too_dark"


def test_a_poor_face_beside_a_clear_one_steps_back_alone() -> None:
    report = poor()
    clear = replace(report.tracks[1], label="manipulated", score=0.85, p_value=0.007)
    segments = (*report.segments, Segment(2, 1.0, 3.0, 2.0, 0.88))
    verdict = replace(report.verdict, label="manipulated", score=0.85, reasons=())
    quality = replace(report.quality, flags=())
    report = replace(
        report, tracks=(report.tracks[0], clear), segments=segments, verdict=verdict, quality=quality
    )
    plain = shown(report)
    assert unjudged(report) == {1}
    assert [track.score for track in plain.tracks] == [None, 0.85]
    assert [segment.track_id for segment in plain.segments] == [2]
    assert {frame.score for frame in plain.frames} == {None}
    assert (plain.verdict.score, plain.verdict.p_value) == (0.85, 0.007)
    assert "Face 1: uncertain, 0:00" in text_of(report) and "Face 2: manipulated 0.85" in text_of(report)


def test_where_nothing_is_poor_everything_is_shown() -> None:
    report = scanned("manipulated")
    assert shown(report) is report


def test_a_picture_has_no_times_and_no_frames() -> None:
    report = scanned("manipulated")
    still = replace(
        report,
        input=replace(report.input, duration_s=None, fps=None, frames_decoded=1),
        tracks=tuple(replace(track, start_s=0.0, end_s=0.0, frames=1) for track in report.tracks),
        segments=(Segment(1, 0.0, 0.0, 0.0, 0.9),),
        verdict=replace(report.verdict, reasons=(Reason("patch", "looks so", 1, 0.0, 0.0, 1.0),)),
    )
    for said in (text_of(still), page_of(still).partition("About this scan")[0]):
        assert "0:00" not in said and "1 frame" not in said and "When" not in said
    assert "Face 1: manipulated 0.90, 120 px" in text_of(still)
    assert "looks so (face 1)" in text_of(still)


PERSON = PersonReport("Ada", 1, "ok", 0.71, 0.25, 0.7, 3, 31.0, 10.0)
LACKING = PersonReport("Ada", 1, "insufficient", None, None, None, 3, 6.25, 10.0, "too_short")


@pytest.mark.parametrize(
    ("person", "parts"),
    [
        (
            PERSON,
            ("moves unlike the enrolled clips, 0.7 spreads outside the edge", "none of 3 enrolled parts"),
        ),
        (replace(PERSON, score=0.3, beyond=-0.7, p_value=0.5), ("moves like", "inside", ": 1 of 3 enrolled")),
        (PERSON, ("0 (moves like Ada) to 1 (moves unlike)", "does not change the verdict")),
        (LACKING, ("followed for 6.2 s, 10 s without a gap are needed, 3.8 s are missing",)),
        (replace(LACKING, lack="still"), ("does not move, as in a photograph",)),
        (replace(LACKING, lack="lost", seconds=20.0), ("within every window of 10 s the face was lost",)),
        (replace(LACKING, track_id=None, lack="no_face"), ("with Ada: cannot be told", "no face to compare")),
    ],
)
def test_a_person_reads_alike_everywhere(person: PersonReport, parts: tuple[str, ...]) -> None:
    report = scanned("no_manipulation_found", person=person)
    said = person_words(report)
    assert all(part in " ".join(said) for part in parts), said
    for sentence in said:
        assert sentence in text_of(report) and sentence in page_of(report)
    assert person_words(scanned("manipulated")) == ()


def test_the_strongest_look_has_one_number_and_one_wording() -> None:
    report = scanned("manipulated")
    (segment,) = report.segments
    looks = ((4.0, 0.6), (segment.peak_s, segment.score), (6.0, 0.7))
    frames = tuple(FrameReport(n, t, 1, (0.0, 0.0, 9.0, 9.0), s, None) for n, (t, s) in enumerate(looks))
    report = replace(report, frames=frames)
    said = strongest_words(segment.peak_s, segment.score)
    assert said == "strongest look at 0:00:05.0: 0.95"
    assert said in text_of(report)
    assert f"{said.capitalize()}." in page_of(report)
    assert LOOKS in page_of(report)


def test_a_face_in_which_nothing_was_found_has_no_suspicious_stretch() -> None:
    """Single looks are not calibrated: what they say must not contradict what the face is called."""
    report = scanned("no_manipulation_found", segments=(Segment(1, 2.0, 4.0, 3.0, 0.62),))
    assert "0.62" not in text_of(report) and "stretch" not in page_of(report)
    assert '"score":0.62' in dumps(report)


def test_an_error_does_not_repeat_the_path_above_it() -> None:
    report = scanned("error")
    assert headline(report) == "Could not be scanned: moov atom not found (corrupt)"
    assert text_of(report).count("clip.mp4") == 1


def test_the_columns_of_the_csv_are_documented() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
    for name, told in COLUMNS.items():
        assert f"| `{name}` | {told} |" in docs


@pytest.mark.parametrize(
    ("score", "told"), [(0.7968, "0.79"), (0.8, "0.80"), (0.57, "0.57"), (0.999, "0.99"), (1.0, "1.00")]
)
def test_a_score_never_reads_as_if_it_had_reached_a_threshold(score: float, told: str) -> None:
    assert score_digits(score) == told


def test_what_a_verdict_means_is_told_of_a_picture_where_it_is_one() -> None:
    for label in ("manipulated", "no_manipulation_found", "uncertain", "no_face"):
        report = scanned(label)
        still = replace(
            report,
            input=replace(report.input, duration_s=None, fps=None, frames_decoded=1),
            tracks=tuple(replace(track, start_s=0.0, end_s=0.0, frames=1) for track in report.tracks),
        )
        film, photo = (" ".join((*m.does, *m.does_not, *m.next)) for m in (meaning(report), meaning(still)))
        assert not re.search(r"\b(the|this) clip\b", photo)
        assert ("the picture" in photo) == ("the clip" in film)
        assert "of genuine pictures" not in photo
