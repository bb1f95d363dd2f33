"""Worker processes: order, crashes, timeouts, threads."""

from __future__ import annotations

import time
from pathlib import Path

import fake_scanner  # noqa: F401 - puts its folder's neighbours on the path of the workers too
import pytest

from vidscan.batch.engine import Job, ScannerSpec
from vidscan.batch.local import LocalEngine, default_jobs
from vidscan.batch.results import ResultFile
from vidscan.batch.run import scan_all
from vidscan.errors import SetupError, VidscanError
from vidscan.report.json import dumps, loads
from vidscan.types import Report


def spec(device: str = "auto") -> ScannerSpec:
    return ScannerSpec(
        device=device, factory="fake_scanner:Scanner", error_report="fake_scanner:error_report"
    )


def files(folder: Path, **contents: str) -> list[Path]:
    paths = []
    for name, content in contents.items():
        paths.append(folder / f"{name}.mp4")
        paths[-1].write_text(content)
    return paths


def run(paths: list[Path], *, jobs: int = 1, timeout_s: float = 0.0) -> dict[str, Report]:
    with LocalEngine(spec(), jobs=jobs, timeout_s=timeout_s) as engine:
        return {job.path.stem: report for job, report in engine.scan([Job(path) for path in paths])}


def test_reports_do_not_depend_on_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_LOG", str(log))
    paths = files(tmp_path, a="authentic", b="manipulated", c="uncertain", d="no_face")
    one, two = ({k: dumps(r) for k, r in run(paths, jobs=n).items()} for n in (1, 2))
    assert one == two and len(one) == 4
    assert {line.split()[1] for line in log.read_text().splitlines()} == {"1"}


def test_order_of_completion(tmp_path: Path) -> None:
    paths = files(tmp_path, a="slow", b="authentic", c="authentic 2")
    with LocalEngine(spec(), jobs=2) as engine:
        engine.start()
        done = [job.path.stem for job, _ in engine.scan([Job(p) for p in paths])]
    assert sorted(done) == ["a", "b", "c"]


def test_a_crash_costs_one_file(tmp_path: Path) -> None:
    reports = run(files(tmp_path, a="crash", b="authentic", c="crash 2", d="manipulated", e="raise"))
    codes = {name: report.error and report.error.code for name, report in reports.items()}
    assert codes == {"a": "decoder_crashed", "b": None, "c": "decoder_crashed", "d": None, "e": "internal"}
    assert "SIGSEGV" in reports["a"].error.message


def test_a_timeout_costs_one_file(tmp_path: Path) -> None:
    started = time.monotonic()
    reports = run(files(tmp_path, a="sleep", b="authentic"), timeout_s=0.5)
    assert reports["a"].error.code == "timeout" and reports["b"].error is None
    assert time.monotonic() - started < 30


def test_setup_errors_come_before_the_first_file() -> None:
    with LocalEngine(spec("cuda:9"), jobs=2) as engine, pytest.raises(SetupError, match="missing") as caught:
        engine.start()
    assert caught.value.code == "weights"
    with LocalEngine(spec("cuda:8")) as engine, pytest.raises(VidscanError, match="nobody foresaw") as caught:
        engine.start()
    assert not isinstance(caught.value, SetupError)


def test_same_content_is_scanned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_LOG", str(log))
    paths = files(tmp_path, a="manipulated", b="authentic", c="manipulated", d="manipulated")
    with LocalEngine(spec(), jobs=2) as engine:
        reports = list(scan_all(paths, engine))
    assert sorted(report.input.path for report in reports) == [str(path) for path in paths]
    assert len(log.read_text().splitlines()) == 2


def test_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, out = tmp_path / "log", tmp_path / "out.jsonl"
    monkeypatch.setenv("FAKE_LOG", str(log))
    first = files(tmp_path, a="authentic", b="crash", c="uncertain")

    def scan(paths: list[Path], resume: bool) -> list[str]:
        log.write_text("")
        skipped: list[Report] = []
        with LocalEngine(spec(), jobs=1) as engine, ResultFile(out, resume=resume) as results:
            list(scan_all(paths, engine, results, skipped=skipped.append))
        return [report.input.path for report in skipped]

    assert scan(first, resume=False) == []
    with out.open("a") as stream:
        stream.write('{"schema_version":"1.0","tool":{"na')
    paths = first + files(tmp_path, d="authentic", e="manipulated")
    assert scan(paths, resume=True) == [str(paths[0]), str(paths[2])]
    # The crash is tried again, d is a's content, and only e is new.
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["b.mp4", "e.mp4"]
    reports = [loads(line) for line in out.read_text().splitlines()]
    assert sorted(report.input.path for report in reports) == [str(path) for path in paths]
    before = out.read_bytes()
    paths[1].unlink()
    assert len(scan([paths[0], *paths[2:]], resume=True)) == 4
    assert log.read_text() == ""
    assert len(out.read_bytes()) < len(before)  # the crash's line went, to be tried again


def test_default_jobs() -> None:
    assert default_jobs("cpu") >= 1
    assert 1 <= default_jobs("cuda") <= 4
