"""Real files are judged like their plain twins, and the document tells of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compatibility import measure, table
from samples.real_files import KINDS, TWINS
from tests.corpus import needs_weights

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "compatibility.md"


def test_the_document_tells_of_every_kind() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    told = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1] for row in rows}
    for kind in KINDS.values():
        assert told[kind.what] == kind.treatment
        assert kind.twin in TWINS or (kind.treatment == "refused" and not kind.twin)


@needs_weights
@pytest.mark.slow
def test_a_turned_clip_and_a_motion_photo_are_judged_like_their_plain_twin() -> None:
    rows = measure(["turned", "motion_photo", "playlist"])
    assert all(row["good"] for row in rows), table(rows)
    assert rows[0]["label"] == rows[1]["label"] == "manipulated"
    assert (rows[1]["warnings"], rows[2]["error"]) == (["motion_photo"], "unreadable")
