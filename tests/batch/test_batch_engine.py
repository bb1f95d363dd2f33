"""Worker processes: order, crashes, timeouts, threads."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import fake_scanner  # noqa: F401 - puts its folder's neighbors on the path of the workers too
import pytest

from vidscan.batch.engine import Job, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.process import resident_bytes
from vidscan.batch.results import ResultFile
from vidscan.batch.scan import scan_all
from vidscan.errors import SetupError, VidscanError
from vidscan.machine import default_jobs
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


def run(
    paths: list[Path], *, jobs: int = 1, timeout_s: float = 0.0, max_memory: int = 0
) -> dict[str, Report]:
    with LocalEngine(spec(), jobs=jobs, timeout_s=timeout_s, max_memory=max_memory) as engine:
        return {job.path.stem: report for job, report in engine.scan([Job(path) for path in paths])}


def test_reports_do_not_depend_on_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_LOG", str(log))
    paths = files(tmp_path, a="no_manipulation_found", b="manipulated", c="uncertain", d="no_face")
    one, two = ({k: dumps(r) for k, r in run(paths, jobs=n).items()} for n in (1, 2))
    assert one == two and len(one) == 4
    assert {line.split()[1] for line in log.read_text().splitlines()} == {"1"}


def test_order_of_completion(tmp_path: Path) -> None:
    paths = files(tmp_path, a="slow", b="no_manipulation_found", c="no_manipulation_found 2")
    with LocalEngine(spec(), jobs=2) as engine:
        engine.start()
        done = [job.path.stem for job, _ in engine.scan([Job(p) for p in paths])]
    assert sorted(done) == ["a", "b", "c"]


def test_a_crash_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_LOG", str(log))
    reports = run(
        files(tmp_path, a="crash", b="no_manipulation_found", c="crash 2", d="manipulated", e="raise")
    )
    tried = [line.split()[0] for line in log.read_text().splitlines()]
    assert sorted(tried) == ["a.mp4", "a.mp4", "b.mp4", "c.mp4", "c.mp4", "d.mp4", "e.mp4"]
    codes = {name: report.error and report.error.code for name, report in reports.items()}
    assert codes == {"a": "decoder_crashed", "b": None, "c": "decoder_crashed", "d": None, "e": "internal"}
    assert "SIGSEGV" in reports["a"].error.message


def test_a_timeout_costs_one_file(tmp_path: Path) -> None:
    started = time.monotonic()
    reports = run(files(tmp_path, a="sleep", b="no_manipulation_found"), timeout_s=0.5)
    assert reports["a"].error.code == "timeout" and reports["b"].error is None
    assert time.monotonic() - started < 30


def test_a_worker_that_did_not_die_of_its_file_costs_none(tmp_path: Path) -> None:
    reports = run(files(tmp_path, a="once", b="kill", c="no_manipulation_found"))
    assert [reports[name].error for name in "abc"] == [None] * 3


@pytest.mark.skipif(not resident_bytes(os.getpid()), reason="this system does not tell resident memory")
def test_too_much_memory_costs_one_file(tmp_path: Path) -> None:
    paths = files(tmp_path, a="grow", b="no_manipulation_found")
    reports = run(paths, max_memory=450_000_000)
    assert reports["a"].error.code == "out_of_memory" and reports["b"].error is None
    with pytest.raises(SetupError, match="before its first file"):
        run(paths, max_memory=5_000_000)


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_death_while_idle_costs_no_file(tmp_path: Path) -> None:
    paths = files(tmp_path, a="no_manipulation_found", b="manipulated")
    with LocalEngine(spec(), jobs=1) as engine:
        assert len(list(engine.scan([Job(paths[0])]))) == 1
        for _ in range(3):
            os.kill(engine.pids[0], signal.SIGKILL)
            ((_, report),) = engine.scan([Job(paths[1])])
            assert report.error is None


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_death_while_loading_costs_no_file(tmp_path: Path) -> None:
    paths = files(tmp_path, a="no_manipulation_found", b="manipulated")
    with LocalEngine(spec(), jobs=2) as engine:
        threading.Timer(0.1, lambda: os.kill(engine.pids[0], signal.SIGKILL)).start()
        assert len(list(engine.scan([Job(path) for path in paths]))) == 2
    with LocalEngine(spec("cuda:7")) as engine, pytest.raises(SetupError, match="exit status 7"):
        engine.start()


def test_an_abandoned_scan_does_not_disturb_the_next(tmp_path: Path) -> None:
    paths = files(tmp_path, a="no_manipulation_found", b="slow", c="manipulated")
    with LocalEngine(spec(), jobs=2) as engine:
        for _ in engine.scan([Job(paths[0]), Job(paths[1])]):
            break
        found = {job.path.stem: report.verdict.label for job, report in engine.scan([Job(paths[2])])}
    assert found == {"c": "manipulated"}


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
    paths = files(tmp_path, a="manipulated", b="no_manipulation_found", c="manipulated", d="manipulated")
    with LocalEngine(spec(), jobs=2) as engine:
        reports = list(scan_all(paths, engine))
    assert sorted(report.input.path for report in reports) == [str(path) for path in paths]
    assert len(log.read_text().splitlines()) == 2


def test_errors_are_shared_by_content_and_speak_of_their_own_name(tmp_path: Path) -> None:
    paths = files(tmp_path, a="crash", b="crash")
    with LocalEngine(spec(), jobs=1) as engine:
        reports = {Path(report.input.path): report for report in scan_all(paths, engine)}
    assert reports[paths[0]].input.sha256 == reports[paths[1]].input.sha256 is not None
    for path in paths:
        assert reports[path].error.message.startswith(f"{path}: the scanning process died")


class Batch:
    """Scans into one results file again and again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self.out = folder / "log", folder / "out.jsonl"
        monkeypatch.setenv("FAKE_LOG", str(self.log))

    def scan(self, paths: list[Path], **options: bool) -> tuple[list[str], list[str], int]:
        """Names that were scanned, names that were done before, and how many reports were there."""
        self.log.write_text("")
        skipped: list[str] = []
        kept: list[Report] = []
        with LocalEngine(spec(), jobs=1) as engine, ResultFile(self.out, **options) as results:
            reports = scan_all(
                paths,
                engine,
                results,
                skipped=lambda report: skipped.append(Path(report.input.path).name),
                kept=kept.append,
            )
            list(reports)
        return [line.split()[0] for line in self.log.read_text().splitlines()], skipped, len(kept)

    def names(self) -> list[str]:
        """Of the files reported, sorted."""
        lines = self.out.read_text().splitlines()
        return sorted(Path(loads(line).input.path).name for line in lines)


def test_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(tmp_path, monkeypatch)
    first = files(tmp_path, a="no_manipulation_found", b="raise", c="uncertain")
    assert batch.scan(first) == (["a.mp4", "b.mp4", "c.mp4"], [], 0)
    with batch.out.open("a") as stream:
        stream.write('{"schema_version":"1.0","tool":{"na')
    # d has a's content, so only e is new; the error stays.
    paths = first + files(tmp_path, d="no_manipulation_found", e="manipulated")
    assert batch.scan(paths, resume=True) == (["e.mp4"], ["a.mp4", "b.mp4", "c.mp4"], 3)
    assert batch.names() == ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]
    assert batch.scan(paths, resume=True) == ([], ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"], 5)


def test_retry_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(tmp_path, monkeypatch)
    paths = [*files(tmp_path, a="raise", b="raise 2", c="no_manipulation_found"), tmp_path / "gone.mp4"]
    batch.scan(paths)
    assert batch.scan(paths, resume=True)[0] == []
    # Only what is asked for now is tried again; other lines stay.
    assert batch.scan([paths[0], paths[3]], resume=True, retry_errors=True) == (["a.mp4", "gone.mp4"], [], 2)
    assert batch.names() == ["a.mp4", "b.mp4", "c.mp4", "gone.mp4"]
    paths[3].write_text("manipulated")
    assert batch.scan(paths[3:], resume=True, retry_errors=True)[0] == ["gone.mp4"]
    assert batch.names() == ["a.mp4", "b.mp4", "c.mp4", "gone.mp4"]


def test_default_jobs() -> None:
    assert default_jobs("cpu") >= 1
    assert 1 <= default_jobs("cuda") <= 4
