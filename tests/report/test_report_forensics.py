"""What people and programs are told of the instruments, and that maps and charts are drawn."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import cv2
import jsonschema
import numpy as np
import pytest
from PIL import Image
from sample_reports import sample

from vidscan.forensics.base import Finding, Series
from vidscan.forensics.shelf import Shelf
from vidscan.report.forensics import APART, forensics_dict, forensics_lines, marks_words
from vidscan.report.html import render_html
from vidscan.report.json import dumps, loads, report_schema, to_dict
from vidscan.report.text import lines
from vidscan.types import Provenance, Report, TimeMark

GHOST = Finding(
    "jpeg_ghosts",
    "JPEG ghosts",
    "ok",
    "A part looks <b>older</b>.",
    "Farid 2009",
    0.75,
    map=np.pad(np.ones((4, 4), np.float32), 4),
    map_time_s=1.5,
)
JUMP = Finding(
    "missing_frames",
    "Missing frames",
    "ok",
    "The clip jumps.",
    "Stamm 2012",
    1.0,
    series=Series("Change", np.arange(10) / 25, np.linspace(0, 9, 10)),
    marks=(TimeMark(2.0, 2.04, "jumps"), TimeMark(3.0, 5.0, "stands still")),
)
SHORT = Finding("former_groups", "Former groups", "insufficient", "Too short.", "x", code="too_short")
SPECTRUM = Finding(
    "spectrum", "Spectrum", "ok", "Nothing.", "x", 0.0, map=np.eye(64, dtype=np.float32), over_frame=False
)
PROVENANCE = Provenance(
    True, True, "untrusted", "A\x1b[31m News", "camera 1.0", ("c2pa.created",), False, "Signed by A\x1b[31m."
)


@pytest.fixture
def told() -> Report:
    findings = (SHORT, GHOST, JUMP, SPECTRUM)
    return replace(
        sample("manipulated"),
        forensics=tuple(finding.reported() for finding in findings),
        provenance=PROVENANCE,
    )


@pytest.fixture
def shelf() -> Shelf:
    return Shelf([SHORT, GHOST, JUMP, SPECTRUM], {1.5: np.full((90, 120, 3), 100, np.uint8)})


def test_json_has_them_only_where_they_were_asked_for(told: Report) -> None:
    plain = to_dict(sample())
    assert "forensics" not in plain and "provenance" not in plain
    data = to_dict(told)
    assert [one["name"] for one in data["forensics"]] == [
        "former_groups", "jpeg_ghosts", "missing_frames", "spectrum"
    ]  # fmt: skip
    assert data["forensics"][2]["marks"][1] == {"start_s": 3.0, "end_s": 5.0, "message": "stands still"}
    assert (
        loads(dumps(told)) == loads(dumps(loads(dumps(told)))) and loads(dumps(told)).provenance == PROVENANCE
    )
    for report in (told, sample()):
        jsonschema.validate(json.loads(dumps(report)), report_schema())


def test_text_tells_them_apart_from_the_verdict(told: Report) -> None:
    said = [f"{'  ' * line.indent}{line.text}" for line in lines(told)]
    assert "  Content Credentials: Signed by A\\x1b[31m." in said
    assert "  Forensics (none of this is part of the verdict):" in said
    assert "    JPEG ghosts: 0.75. A part looks <b>older</b>." in said
    assert "    Former groups: Too short." in said
    assert "      0:00:02.0 jumps; 0:00:03.0 to 0:00:05.0 stands still" in said
    assert not any("Forensics" in line.text for line in lines(sample()))
    assert list(forensics_lines(forensics_dict(sample()))) == []


def test_many_marks_are_counted() -> None:
    said = marks_words(tuple(TimeMark(n, n, "here") for n in range(8)))
    assert said.count("here") == 5 and said.endswith("and 3 more")


def test_the_page_folds_them_and_draws_maps_and_charts(told: Report, shelf: Shelf) -> None:
    page = render_html(told, shelf=shelf)
    section = page.partition('id="forensics"')[2].partition("</section>")[0]
    assert APART in section and "&lt;b&gt;older" in section and "<b>older" not in section
    assert "<details" in section and "open" not in section.partition("<details")[2].partition(">")[0]
    assert section.index("JPEG ghosts") < section.index("Former groups"), "those that looked come first"
    pictures = [part.partition('"')[0] for part in section.split('src="data:image/jpeg;base64,')[1:]]
    assert len(pictures) == 2 and section.count('role="img"') == 1
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))).convert("RGB")).astype(int)
    assert drawn.shape == (90, 120, 3)
    middle, corner = drawn[45, 60], drawn[5, 5]
    assert np.ptp(corner) < 12 < np.ptp(middle), "heat in the middle, grey elsewhere"
    assert "\x1b" not in page


def test_a_page_without_them_says_nothing(told: Report) -> None:
    assert 'id="forensics"' not in render_html(sample())
    bare = render_html(told)
    assert 'id="forensics"' in bare and "data:image/jpeg" not in bare.partition('id="forensics"')[2][:6000]


def test_maps_of_any_size_are_laid_over_the_frame(told: Report, shelf: Shelf) -> None:
    shelf.pictures[1.5] = np.asarray(cv2.resize(shelf.pictures[1.5], (37, 500)), np.uint8)
    assert "data:image/jpeg" in render_html(told, shelf=shelf)
