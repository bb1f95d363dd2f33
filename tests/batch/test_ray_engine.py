"""The Ray engine: the results of the local one, also when a machine is lost on the way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_scanner  # noqa: F401 - puts sample_reports on the path
import pytest

from vidscan.batch.engine import Engine, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.remote import RemoteFile
from vidscan.batch.results import ResultFile
from vidscan.batch.scan import scan_all
from vidscan.errors import SetupError
from vidscan.report.json import loads
from vidscan.types import Report

SPEC = ScannerSpec(factory="fake_scanner:Scanner", error_report="fake_scanner:error_report")


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from vidscan.batch.ray_engine import RayEngine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SetupError, match=r"pip install '\.\[ray\]'"):
        RayEngine(SPEC)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Two nodes of one processor each on this machine."""
    pytest.importorskip("ray", reason="needs Ray")
    from ray.cluster_utils import Cluster

    tests = Path(__file__).resolve().parents[1]
    places = [str(tests.parent), str(tests / "batch"), str(tests / "report")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


def files(folder: Path) -> list[Path]:
    folder.mkdir()
    words = ["slow", "pause", "manipulated", "raise", "no_face", "once"]
    for index in range(24):
        (folder / f"{index:02}.mp4").write_text(f"{words[index % 6]} {index % 20}")
    (folder / "crash.mp4").write_text("crash")
    return [*sorted(folder.iterdir()), folder / "gone.mp4"]


def lines(reports: list[Report]) -> dict[str, tuple[str, str | None, str | None]]:
    assert len({report.input.path for report in reports}) == len(reports)
    return {
        Path(report.input.path).name: (
            report.verdict.label,
            report.error and report.error.code,
            report.input.sha256,
        )
        for report in reports
    }


@pytest.mark.slow
def test_a_lost_node_loses_no_file(tmp_path: Path, cluster: object) -> None:
    from vidscan.batch.ray_engine import RayEngine

    second = cluster.add_node(num_cpus=1)  # type: ignore[attr-defined]
    cluster.wait_for_nodes()  # type: ignore[attr-defined]

    def scan(engine: Engine, out: Path, paths: list[Path], lose_node: bool = False) -> list[Report]:
        with ResultFile(out, resume=True) as results:
            for number, _ in enumerate(scan_all(paths, engine, results)):
                if lose_node and number == 5:
                    cluster.remove_node(second, allow_graceful=False)  # type: ignore[attr-defined]
        return [loads(line) for line in out.read_text().splitlines()]

    mine, theirs = files(tmp_path / "mine"), files(tmp_path / "theirs")
    with LocalEngine(SPEC, jobs=2, timeout_s=60) as local:
        expected = lines(scan(local, tmp_path / "local.jsonl", mine))
    address = cluster.address  # type: ignore[attr-defined]
    with RayEngine(SPEC, jobs=2, timeout_s=60, address=address) as engine:
        reports = scan(engine, tmp_path / "ray.jsonl", theirs, lose_node=True)
        assert lines(reports) == expected
        assert len(expected) == 26 and expected["crash.mp4"][1] == "decoder_crashed"
        # Nothing is left to do, and a URL is fetched where it is scanned.
        assert len(scan(engine, tmp_path / "ray.jsonl", theirs)) == 26
        url = RemoteFile(f"file://{theirs[2]}")
        (remote,) = [report for _, report in engine.scan([_job(url)])]
        assert remote.input.path == url.url and remote.error is None


def _job(path: RemoteFile) -> object:
    from vidscan.batch.engine import Job

    return Job(path)
