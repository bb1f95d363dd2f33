"""Real files against their plain twins: the table in docs/compatibility.md.

    python -m benchmarks.compatibility [--only NAME ...] [--out FILE.json] [--docs docs/compatibility.md]

Makes every kind of samples/real_files.py of the forged stretch of examples/manipulated.mp4, scans it and the
plain file of the same content with the shipped weights, and compares the scores. Exit code 1 where one
differs by more than 0.05, or where a file that is to be refused is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.publish import publish
from samples.real_files import KINDS, TWINS, Frames, Kind
from vidscan import markdown
from vidscan.media import open_video
from vidscan.outputs import write_text
from vidscan.scanner import Scanner
from vidscan.types import Report

TOLERANCE = 0.05
_EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "manipulated.mp4"
_FROM_S, _FRAMES = 2.4, 30
_BEGIN, _END = "<!-- table: python -m benchmarks.compatibility -->", "<!-- end -->"


def example() -> Frames:
    """(T, H, W, 3) frames from the forged stretch."""
    with open_video(_EXAMPLE) as source:
        chunks = list(source)
    times = np.concatenate([chunk.times for chunk in chunks])
    images = np.concatenate([chunk.images for chunk in chunks])
    return images[times >= _FROM_S][:_FRAMES]


def measure(names: list[str]) -> list[dict[str, Any]]:
    """One row a kind."""
    images, scanner = example(), Scanner(device="cpu")
    twins: dict[str, Report] = {}
    rows = []
    with tempfile.TemporaryDirectory(prefix="vidscan-") as root:
        for number, name in enumerate(names):
            kind = KINDS[name]
            folder = Path(root) / str(number)
            folder.mkdir()
            report = scanner.scan(kind.make(folder, images))
            if kind.twin and kind.twin not in twins:
                place = Path(root) / f"twin {kind.twin}"
                place.mkdir()
                twins[kind.twin] = scanner.scan(TWINS[kind.twin](place, images))
            rows.append(_row(name, kind, report, twins.get(kind.twin)))
            print(rows[-1], file=sys.stderr)
    return rows


def _row(name: str, kind: Kind, report: Report, twin: Report | None) -> dict[str, Any]:
    score, plain = report.verdict.score, None if twin is None else twin.verdict.score
    gap = None if score is None or plain is None else round(abs(score - plain), 3)
    good = report.error is not None if twin is None else gap is not None and gap <= TOLERANCE
    return {
        "name": name,
        "what": kind.what,
        "treatment": kind.treatment,
        "source": kind.source,
        "twin": kind.twin,
        "label": report.verdict.label,
        "score": score,
        "twin_score": plain,
        "difference": gap,
        "warnings": [note.code for note in report.warnings],
        "error": None if report.error is None else report.error.code,
        "good": good,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    heads = ("Kind", "Treatment", "Score", "Plain twin", "Difference", "Warning or error", "Reported in")
    lines = []
    for row in rows:
        numbers = [
            "" if row[key] is None else f"{row[key]:.3f}" for key in ("score", "twin_score", "difference")
        ]
        told = ", ".join(f"`{code}`" for code in [*row["warnings"], *filter(None, [row["error"]])])
        lines.append([row["what"], row["treatment"], *numbers, told, row["source"]])
    return "\n".join(markdown.table(heads, lines))


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--docs", type=Path, help="Markdown file whose table is written anew.")
    arguments = parser.parse_args()
    rows = measure(arguments.only)
    publish({"kinds": rows}, arguments.out)
    if arguments.docs:
        text = arguments.docs.read_text(encoding="utf-8")
        before, after = text.split(_BEGIN)[0], text.split(_END)[1]
        write_text(arguments.docs, f"{before}{_BEGIN}\n{table(rows)}\n{_END}{after}")
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
