"""``vidscan serve`` as a process: what it refuses, how it ends, what it loads, and what a kill costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_service import clip

from samples.serving import clean_environment, kill_at_random, serving
from vidscan.cli import app

ROOT = Path(__file__).resolve().parents[2]
FAKE = [sys.executable, str(Path(__file__).with_name("fake_main.py"))]
ENV = clean_environment(ROOT)


def run(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    command = [*FAKE, "serve", "--data", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=ENV, check=False)


def test_what_cannot_be_served_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, spaced, good = tmp_path / "short", tmp_path / "spaced", tmp_path / "good"
    short.write_text("short")
    spaced.write_text("words with blanks in it\n")
    good.write_text("a-token-of-many-characters\n")
    for arguments, message in (
        (["--host", "0.0.0.0"], "needs --token-file"),
        (["--host", "::"], "needs --token-file"),
        (["--host", "vidscan.example"], "needs --token-file"),
        (["--token-file", str(short)], "at least 16 characters"),
        (["--token-file", str(spaced)], "at least 16 characters"),
        (["--token-file", str(tmp_path / "gone")], "No such file"),
        (["--allow-callback", "https://a.example/"], "needs --callback-secret-file"),
        (["--allow-callback", "a.example", "--callback-secret-file", str(good)], "begins with https"),
        (["--allow-root", str(tmp_path / "gone")], "does not exist"),
        (["--host", "203.0.113.1", "--token-file", str(good)], "cannot listen"),
        (["--port", "70000"], "65535"),
    ):
        assert app.run(["serve", "--data", str(tmp_path / "data"), *arguments]) == 2
        told = capsys.readouterr()
        assert message in told.err and told.err.count("\n") == 1 and told.out == "", (arguments, told.err)


def test_a_data_folder_has_one_server_which_ends_with_ctrl_c(tmp_path: Path) -> None:
    with serving(FAKE, tmp_path, "--jobs", "1", env=ENV) as server:
        assert server.client.get("/healthz").status_code == 200
        second = run("--port", "0", data=tmp_path)
        assert second.returncode == 2 and "another process" in second.stderr
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(240) == 130
        assert server.process.stderr is not None and server.process.stderr.read() == ""


def test_missing_weights_stop_it_before_it_listens(tmp_path: Path) -> None:
    result = run("--port", "0", "--device", "cuda:9", data=tmp_path)
    assert result.returncode == 2 and "error[weights]" in result.stderr


def test_other_commands_load_nothing_of_it() -> None:
    code = (
        "import sys; from vidscan.cli.app import run; import vidscan.batch.scan, vidscan.batch.local; "
        "assert run(['serve', '--help']) == 0; loaded = {'fastapi', 'uvicorn', 'httpx', 'vidscan.serve'} "
        "& set(sys.modules); sys.exit(f'imported {loaded}' if loaded else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENV, check=False
    )
    assert result.returncode == 0 and "--allow-root" in result.stdout, result.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None; from vidscan.cli.app import run; "
        f"sys.exit(run(['serve', '--data', {str(tmp_path)!r}]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENV, check=False
    )
    assert result.returncode == 2 and "pip install '.[serve]'" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    outcome = kill_at_random(
        FAKE,
        tmp_path,
        lambda number: clip(f"pause {number % 7}"),
        2,
        seed=5,
        patience_s=1.0,
        options=("--jobs", "1"),
        env=ENV,
    )
    assert outcome.kills == 2 and outcome.accepted >= 2
    assert (outcome.lost, outcome.doubled, outcome.unfinished) == (0, 0, 0)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes through /proc")
def test_workers_end_with_a_killed_server(tmp_path: Path) -> None:
    with serving(FAKE, tmp_path, "--jobs", "1", env=ENV) as server:
        server.post(clip("sleep"))
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert children
        server.kill()
    end = time.monotonic() + 120
    while any(_runs(child) for child in children):
        assert time.monotonic() < end, "a worker outlives its server"
        time.sleep(0.05)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
