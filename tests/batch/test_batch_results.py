"""The results file: locks, repair, identity."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import fake_scanner  # noqa: F401 - puts sample_reports on the path
import pytest
from sample_reports import MODELS, sample

from vidscan.batch.engine import Identity
from vidscan.batch.results import Done, ResultFile, renamed, same_identity
from vidscan.batch.summary import Summary
from vidscan.errors import SetupError, VidscanError
from vidscan.report.json import dumps
from vidscan.types import ErrorInfo, ModelRef, ScanSettings

IDENTITY = Identity(ScanSettings(), "cpu", MODELS)


def test_existing_files_need_a_word(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(dumps(sample()) + "\n")
    with pytest.raises(SetupError, match="--resume"):
        ResultFile(out)
    for options in ({"resume": True, "overwrite": True}, {"resume": True, "format": "csv"}):
        with pytest.raises(SetupError):
            ResultFile(out, **options)
    with ResultFile(out, overwrite=True) as results:
        assert out.read_text()  # kept until it is sure that scanning can begin
        results.open(IDENTITY, Done())
        results.write(sample("no_face"))
    assert '"no_face"' in out.read_text() and out.read_text().count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "letter.txt"
    for text in ("Dear all", '{"a": 1}\n', dumps(sample()) + "\nDear all\n"):
        out.write_text(text)
        with pytest.raises(SetupError, match="no vidscan report"):
            ResultFile(out, resume=True)
        assert out.read_text() == text


def test_reports_that_cannot_be_read_are_named_by_their_line(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    good = dumps(sample())
    for bad, said in (
        (good.replace('"schema_version":"2.0"', '"schema_version":"9.0"'), "line 2 .* schema version 9.0"),
        (good.replace('"no_manipulation_found"', '"nonsense"'), "line 2 .* can read"),
    ):
        assert bad != good
        out.write_text(f"{good}\n{bad}\n")
        with pytest.raises(SetupError, match=said), ResultFile(out, resume=True) as results:
            results.open(IDENTITY, Done())
        assert out.read_text() == f"{good}\n{bad}\n"


def test_a_whole_last_line_without_newline_is_completed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(dumps(sample()))
    done = Done()
    with ResultFile(out, resume=True) as results:
        results.open(IDENTITY, done)
        results.write(sample(path="two.mp4", sha256="ef" * 32))
    assert out.read_text().count("\n") == 2
    assert done.has(Path("clip.mp4"), "cd" * 32) and not done.has(Path("two.mp4"), "cd" * 32)


def test_other_settings_are_kept_but_not_done(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(dumps(sample(settings=ScanSettings(analysis_fps=5.0))) + "\n")
    done = Done()
    with ResultFile(out, resume=True) as results:
        results.open(IDENTITY, done)
    assert done.get(Path("clip.mp4"), "cd" * 32) is None
    assert out.read_text().count("\n") == 1


def test_zeros_of_a_lost_block_are_taken_out(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(dumps(sample()) + "\n" + "\0" * 100)
    with ResultFile(out, resume=True) as results:
        results.open(IDENTITY, Done())
    assert out.read_text() == dumps(sample()) + "\n"


def test_a_full_disk_is_one_error_and_the_lines_stay(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "out.jsonl"
    line = len(dumps(sample())) + 1
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ResultFile(out) as results:
        results.open(IDENTITY, Done())
        resource.setrlimit(resource.RLIMIT_FSIZE, (line + 100, before[1]))
        try:
            results.write(sample())
            with pytest.raises(VidscanError, match="--resume goes on") as caught:
                results.write(sample(path="two.mp4", sha256="ef" * 32))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not isinstance(caught.value, SetupError)
    done = Done()
    with ResultFile(out, resume=True) as results:
        results.open(IDENTITY, done)
    assert done.has(Path("clip.mp4"), "cd" * 32)


def test_lock(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code = f"import pathlib, vidscan.batch.results as r; r.ResultFile(pathlib.Path({str(out)!r}))"
    root = Path(__file__).resolve().parents[2]
    with ResultFile(out):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
        assert "another process is writing" in other.stderr
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_identity() -> None:
    data = {"models": [asdict(m) for m in MODELS], "settings": {**asdict(ScanSettings()), "extra": 1}}
    data["settings"]["min_face"] = round(data["settings"]["min_face"], 6)
    assert same_identity(data, IDENTITY)
    assert not same_identity(data, Identity(ScanSettings(analysis_fps=4.0), "cpu", MODELS))
    assert not same_identity(data, Identity(ScanSettings(), "cpu", (ModelRef("patches", "00"),)))
    assert not same_identity({}, IDENTITY)


def test_renamed_keeps_undecodable_names() -> None:
    report = renamed(sample(), Path(os.fsdecode(b"a\xff.mp4")))
    assert report.input.path == "a\\xff.mp4" and report.input.path_raw == "Yf8ubXA0"
    assert renamed(report, Path("b.mp4")).input.path_raw is None


def test_summary() -> None:
    summary = Summary()
    summary.add(sample("manipulated"))
    summary.add(sample("no_manipulation_found"), skipped=True)
    summary.add(sample("error", error=ErrorInfo("corrupt", "x")))
    table = summary.table(2.0)
    assert "3 files in 0:00:02.0, 1 of them done before" in table
    assert [" ".join(line.split()) for line in table.splitlines()[1:]] == [
        "Could not be scanned 1",
        "corrupt 1",
        "Manipulated 1",
        "No manipulation found 1",
    ]
