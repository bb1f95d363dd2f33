"""The command line in subprocesses: exit codes, messages, streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch

from vidscan.cli.app import app
from vidscan.cli.options import SETTINGS, Choice
from vidscan.models import register
from vidscan.types import ScanSettings

ROOT = Path(__file__).resolve().parents[2]
FAKE = [sys.executable, str(Path(__file__).with_name("fake_main.py"))]
REAL = [sys.executable, "-m", "vidscan"]


def environment(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VIDSCAN_")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**clean, "PYTHONPATH": path, **more}


def run(
    *args: str, program: list[str] = FAKE, cwd: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    stdin = more.pop("stdin", "")
    return subprocess.run(
        [*program, *args],
        capture_output=True,
        text=True,
        input=stdin,
        cwd=cwd,
        env=environment(**more),
        timeout=120,
    )


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    (tmp_path / "clear.mp4").write_text("no_manipulation_found")
    for label in ("uncertain", "manipulated", "no_face"):
        (tmp_path / f"{label}.mp4").write_text(label)
    return tmp_path


def test_every_command_has_help_and_is_documented() -> None:
    docs = (ROOT / "docs" / "cli.md").read_text()
    for command in app.registered_commands:
        assert command.callback is not None and command.callback.__doc__
        name = command.name or command.callback.__name__
        assert f"vidscan {name}" in docs
        result = run(name, "--help", program=REAL)
        assert result.returncode == 0 and "Usage:" in result.stdout and result.stderr == ""


def test_help_names_the_rate_that_is_the_default() -> None:
    told = " ".join(run("check", "--help", program=REAL).stdout.split())
    option = told[told.index("--analysis-fps") :]
    assert f"default: ({ScanSettings().analysis_fps:g})" in option[: option.index("]")]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from vidscan.cli.app import run; assert run(['--help']) == 0; "
        "heavy = {'numpy', 'torch', 'pydantic', 'rich', 'cv2', 'tqdm'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Usage:"),
        (["nonsense"], "error[usage]"),
        (["check"], "error[usage]"),
        (["check", "--nonsense", "a.mp4"], "error[usage]"),
        (["check", "--format", "html", "a.mp4"], "error[usage]"),
        (["check", "--every", "0", "a.mp4"], "error[usage]"),
        (["check", ""], "one of the paths is empty"),
        (["check", "--json", "--format", "csv", "a.mp4"], "contradict each other"),
        (["check", "--frames", "--format", "csv", "a.mp4"], "--frames has no place"),
        (["check", "--target-fpr", "0", "a.mp4"], "error[usage]: --target-fpr 0"),
        (["enroll", "Ada", "--min-seconds", "inf", "a.mp4"], "error[usage]: --min-seconds inf"),
        (["check", "--fail-on", "bad", "a.mp4"], "--fail-on bad"),
        (["check", "--fail-on", "", "a.mp4"], "--fail-on names no verdict"),
        (["check", "--overlay", "tests", "a.mp4"], "tests is a folder"),
        (["check", "--overlay", "out.txt", "a.mp4"], "writes .mp4"),
        (["check", "-"], "no clip given"),
        (["check", "-0", "a.mp4"], "-0 is for"),
        (["check", "tests"], "use vidscan scan"),
        (["check", "https://host.invalid/a.mp4"], "use vidscan scan"),
        (["scan", "tests", "--resume"], "need --out"),
        (["scan", "tests", "--retry-errors"], "needs --resume"),
        (["scan", "tests", "--gpus", "0.5"], "need --engine ray"),
        (["scan", "tests/cli"], "no video or picture found"),
        (["scan", "nothing://here"], "nothing"),
        (["--config", "gone.toml", "schema"], "error[usage]"),
        (["check", "a.mp4", "--device", "cuda:9"], "error[weights]"),
    ],
)
def test_usage_errors(args: list[str], message: str) -> None:
    result = run(*args)
    assert result.returncode == 2 and result.stdout == ""
    assert message in result.stderr and "Traceback" not in result.stderr
    assert not args or result.stderr.count("\n") == 1


def test_an_unknown_choice_is_told_in_plain_words() -> None:
    message = run("check", "a.mp4", "--format", "xml").stderr
    assert "'xml' is not one of 'text', 'json', 'jsonl', 'csv'" in message and "Value error" not in message


def test_shells_can_complete_commands() -> None:
    shell = {"_VIDSCAN_COMPLETE": "complete_bash", "COMP_WORDS": "vidscan ch", "COMP_CWORD": "1"}
    result = run(program=REAL, **shell)
    assert (result.returncode, result.stdout.split()) == (0, ["check"])
    # Which shell started the tests, if any, must not matter.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = run("--show-completion", "bash", program=REAL, **named)
    assert shown.returncode == 0 and "_VIDSCAN_COMPLETE=complete_bash" in shown.stdout


def test_missing_weights_stop_the_run(tmp_path: Path) -> None:
    pytest.importorskip("vidscan.scanner")
    (tmp_path / "a.mp4").write_text("x")
    for args in (["check", "a.mp4", "--json"], ["scan", ".", "--jobs", "1"], ["models"]):
        result = run(*args, program=REAL, cwd=tmp_path, VIDSCAN_WEIGHTS=str(tmp_path))
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        assert result.stderr.startswith("vidscan: error[weights]") and result.stderr.count("\n") == 1


def test_models_are_checked(tmp_path: Path) -> None:
    for name in ("whole", "changed", "lost"):
        register(tmp_path, name, {"a": torch.zeros(2)}, {"kind": "patches"})
    (tmp_path / "changed.safetensors").write_bytes(b"other")
    (tmp_path / "lost.safetensors").unlink()
    result = run("models", program=REAL, VIDSCAN_WEIGHTS=str(tmp_path))
    assert result.returncode == 2 and result.stderr == ""
    whole, changed, lost = result.stdout.splitlines()
    assert whole.split()[0] == "whole" and whole.endswith(" ok")
    assert "PROBLEM: weights of changed are not the registered ones (sha256)" in changed
    assert "default" in lost and "PROBLEM: weights of lost are missing" in lost
    result = run("models", "--json", program=REAL, VIDSCAN_WEIGHTS=str(tmp_path))
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 2 and [one["ok"] for one in found] == [True, False, False]
    assert found[0]["problem"] is None and "missing" in found[2]["problem"]
    for name in ("changed", "lost"):
        register(tmp_path, name, {"a": torch.zeros(2)}, {"kind": "patches"})
    assert run("models", program=REAL, VIDSCAN_WEIGHTS=str(tmp_path)).returncode == 0


def test_version_and_schema() -> None:
    assert run("--version", program=REAL).stdout.startswith("vidscan ")
    assert json.loads(run("schema", program=REAL).stdout)["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["clear.mp4", "no_face.mp4"], 0),
        (["manipulated.mp4"], 1),
        (["manipulated.mp4", "--exit-zero"], 0),
        (["uncertain.mp4"], 0),
        (["uncertain.mp4", "--fail-on", "manipulated,uncertain"], 1),
        (["manipulated.mp4", "--fail-on", "no_face"], 0),
        (["manipulated.mp4", "gone.mp4"], 3),
        (["gone.mp4", "--exit-zero"], 3),
    ],
)
def test_check_exit_codes(clips: Path, args: list[str], code: int) -> None:
    result = run("check", *args, cwd=clips)
    assert result.returncode == code and result.stderr == ""


def test_check_json(clips: Path) -> None:
    one = run("check", "--json", "gone.mp4", cwd=clips)
    assert one.returncode == 3 and json.loads(one.stdout)["error"]["code"] == "not_found"
    several = run("check", "--json", "clear.mp4", "gone.mp4", cwd=clips)
    assert [json.loads(line)["input"]["path"] for line in several.stdout.splitlines()] == [
        "clear.mp4",
        "gone.mp4",
    ]


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "a\0b.mp4"])
def test_a_name_that_no_file_can_have_costs_the_others_nothing(clips: Path, name: str) -> None:
    for command in ("check", "scan"):
        found = run(command, "-", "--format", "jsonl", cwd=clips, stdin=f"{name}\nclear.mp4\n")
        assert found.returncode == 3 and len(found.stdout.splitlines()) == 2


def test_paths_from_standard_input(clips: Path) -> None:
    (clips / "new\nline.mp4").write_text("no_manipulation_found")
    result = run("check", "-0", "-", "--format", "jsonl", cwd=clips, stdin="new\nline.mp4\0uncertain.mp4\0")
    assert [json.loads(x)["input"]["path"] for x in result.stdout.splitlines()] == [
        "new\nline.mp4",
        "uncertain.mp4",
    ]
    assert run("check", "-", "--json", cwd=clips, stdin="clear.mp4\n").stdout.startswith("{\n")


def test_unexpected_failures_are_3_and_one_line(clips: Path) -> None:
    (clips / "raise.mp4").write_text("raise")
    result = run("check", "raise.mp4", cwd=clips)
    assert result.returncode == 3 and result.stderr.count("\n") == 1 and "error[internal]" in result.stderr
    result = run("check", "raise.mp4", cwd=clips, VIDSCAN_DEBUG="1")
    assert result.returncode == 3 and "Traceback" in result.stderr


def test_flags_beat_variables_beat_the_file(clips: Path) -> None:
    config = clips / "v.toml"
    config.write_text(
        'format = "jsonl"\n[check]\nanalysis-fps = 4\nfail-on = "no_face"\n[settings]\nmin_face = 0.2\n'
    )

    def settings(*args: str, **more: str) -> dict:
        return json.loads(run(*args, cwd=clips, **more).stdout)["settings"]

    for args in (
        ["--config", "v.toml", "check", "no_face.mp4"],
        ["check", "--config", "v.toml", "no_face.mp4"],
    ):
        assert (settings(*args)["analysis_fps"], settings(*args)["min_face"]) == (4, 0.2)
        assert settings(*args, VIDSCAN_ANALYSIS_FPS="5")["analysis_fps"] == 5
        assert settings(*args, "--analysis-fps", "7", VIDSCAN_ANALYSIS_FPS="5")["analysis_fps"] == 7
        assert run(*args, cwd=clips).returncode == 1
    assert settings("check", "no_face.mp4", VIDSCAN_CONFIG="v.toml")["analysis_fps"] == 4


def test_what_verdicts_were_calibrated_with_is_set_in_the_file_only(clips: Path) -> None:
    (clips / "table.toml").write_text('[settings]\nblink_rule = "openness"\n')
    found = run("check", "--json", "no_face.mp4", "--config", "table.toml", cwd=clips)
    assert json.loads(found.stdout)["settings"]["blink_rule"] == "openness"
    for command in ("check", "scan"):
        refused = run(command, "no_face.mp4", "--blink-rule", "ear", cwd=clips)
        assert refused.returncode == 2 and "--blink-rule" in refused.stderr
    refused = run("inspect", "no_face.mp4", "--blink-rule", "brow", cwd=clips)
    assert refused.returncode == 2 and refused.stderr.startswith("vidscan: error[usage]")


def test_flags_are_fields_of_the_settings() -> None:
    kinds = get_type_hints(ScanSettings)
    for name, (kind, option) in SETTINGS.items():
        if issubclass(kind, Choice):
            assert {choice.value for choice in kind} == set(get_args(kinds[name]))
        else:
            assert kinds[name] in (kind, kind | None)
        assert option.envvar == f"VIDSCAN_{name.removesuffix('_s').upper()}"


def test_the_rates_of_false_alarms_by_flag_variable_and_file(clips: Path) -> None:
    (clips / "table.toml").write_text("[settings]\ntarget_fpr = 0.02\n")

    def rates(*args: str, **more: str) -> tuple[float, float]:
        found = json.loads(run(*args, cwd=clips, **more).stdout)["settings"]
        return found["target_fpr"], found["uncertain_fpr"]

    check = ("check", "--json", "no_face.mp4")
    assert rates(*check) == (0, 0)
    assert rates(*check, "--config", "table.toml") == (0.02, 0)
    assert rates(*check, "--config", "table.toml", VIDSCAN_TARGET_FPR="0.03") == (0.03, 0)
    assert rates(*check, "--target-fpr", "0.05", VIDSCAN_TARGET_FPR="0.03") == (0.05, 0)
    assert rates(*check, "--uncertain-fpr", ".2") == (0, 0.2)
    scan = ("scan", "no_face.mp4", "--jobs", "1", "--target-fpr", "0.1", "--uncertain-fpr", "0.2")
    assert rates(*scan) == (0.1, 0.2)
    refused = run("check", "no_face.mp4", "--target-fpr", "2", cwd=clips)
    assert refused.returncode == 2 and refused.stderr.startswith("vidscan: error[usage]")


BAD_FILES = (
    "x = ",
    "nonsense = 1",
    "[nonsense]",
    "[check]\nout = 1",
    "[settings]\nx = 1",
    '[settings]\nanalysis_fps = "fast"',
    "[settings]\nmin_face = true",
    '[settings]\nblink_rule = "brow"',
    "settings = 1",
)


@pytest.mark.parametrize("text", BAD_FILES)
def test_bad_configuration(clips: Path, text: str) -> None:
    (clips / "v.toml").write_text(text)
    result = run("check", "--config", "v.toml", "clear.mp4", cwd=clips)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("vidscan: error[usage]: v.toml: ")


def test_scan(clips: Path) -> None:
    (clips / "noise.mp4").write_text("noise")
    result = run("scan", ".", "--jobs", "2", cwd=clips)
    assert result.returncode == 1 and "5 files" in result.stderr
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 5
    (clips / "crash.mp4").write_text("crash")
    result = run(
        "scan", ".", "--jobs", "2", "--out", "r.csv", "--format", "csv", "-q", "--exit-zero", cwd=clips
    )
    assert (result.returncode, result.stdout) == (3, "")
    assert len((clips / "r.csv").read_text().splitlines()) == 7
    assert run("scan", ".", "--out", "r.csv", cwd=clips).returncode == 2


def test_the_exit_code_covers_all_lines(clips: Path) -> None:
    out = ["--out", "r.jsonl", "--jobs", "1"]
    assert run("scan", "manipulated.mp4", *out, cwd=clips).returncode == 1
    result = run("scan", "clear.mp4", *out, "--resume", cwd=clips)
    assert result.returncode == 1 and "2 files" in result.stderr
    # Lines of other settings are lines too.
    assert run("scan", "clear.mp4", *out, "--resume", "--analysis-fps", "4", cwd=clips).returncode == 1
    assert run("scan", "clear.mp4", *out, "--overwrite", cwd=clips).returncode == 0


def test_limits_are_settings(clips: Path) -> None:
    limits = ["--max-pixels", "1000", "--max-duration", "2.5"]
    for command in ("check", "scan"):
        result = run(command, "clear.mp4", "--format", "jsonl", *limits, cwd=clips)
        settings = json.loads(result.stdout)["settings"]
        assert (settings["max_pixels"], settings["max_duration_s"]) == (1000, 2.5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_one_line_and_3(clips: Path) -> None:
    for command in ("check", "scan"):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(
                [*FAKE, command, "clear.mp4", "-q"], stdout=full, stderr=subprocess.PIPE, text=True,
                cwd=clips, env=environment(),
            )  # fmt: skip
        assert result.returncode == 3, result.stderr
        assert "No space left" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="ulimit is POSIX")
def test_a_full_disk_loses_no_line(clips: Path) -> None:
    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    args = ["scan", ".", "--jobs", "2", "-q"]
    result = subprocess.run(
        [*FAKE, *args, "--out", "o.jsonl"], stderr=subprocess.PIPE, text=True, cwd=clips,
        env=environment(PYTHONDONTWRITEBYTECODE="1"), preexec_fn=limit,
    )  # fmt: skip
    assert result.returncode == 3 and "--resume goes on" in result.stderr, result.stderr
    assert 0 < len((clips / "o.jsonl").read_bytes()) <= 4000
    assert run(*args, "--out", "o.jsonl", "--resume", cwd=clips).returncode == 1
    assert run(*args, "--out", "whole.jsonl", cwd=clips).returncode == 1
    both = [sorted((clips / name).read_text().splitlines()) for name in ("o.jsonl", "whole.jsonl")]
    assert both[0] == both[1] and len(both[0]) == 4


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals and pipes")
class TestEndings:
    def test_closed_pipe(self, clips: Path) -> None:
        read, write = os.pipe()
        os.close(read)
        for args in (["schema"], ["check", "clear.mp4"], ["scan", ".", "-q", "--jobs", "1"]):
            result = subprocess.run(
                [*FAKE, *args], stdout=write, stderr=subprocess.PIPE, text=True, cwd=clips, env=environment()
            )
            assert (result.returncode, result.stderr) == (141, "")
        os.close(write)

    @pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_interrupt_and_death_leave_whole_lines_and_no_worker(self, clips: Path, kind: int) -> None:
        (clips / "zz.mp4").write_text("sleep")
        process = subprocess.Popen(
            [*FAKE, "scan", ".", "--out", "o.jsonl", "--jobs", "2"],
            stderr=subprocess.PIPE, text=True, cwd=clips, env=environment(), start_new_session=True,
            # A shell that started these tests in the background made them deaf to it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        out, group = clips / "o.jsonl", process.pid
        deadline = time.monotonic() + 60
        while not (out.exists() and out.read_text().count("\n") == 4) and time.monotonic() < deadline:
            time.sleep(0.05)
        if kind == signal.SIGINT:
            os.killpg(group, kind)  # as a terminal does
        else:
            process.send_signal(kind)
        stderr = process.communicate(timeout=60)[1]
        assert "Traceback" not in stderr
        codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
        assert process.returncode == codes[kind]
        assert len([json.loads(line) for line in out.read_text().splitlines()]) == 4
        while time.monotonic() < deadline:  # the whole process group is gone
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("a worker outlived its parent")
