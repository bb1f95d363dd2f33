"""Outputs never replace inputs, whatever leads to them, and a verdict outlives its products."""

from __future__ import annotations

import errno
import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samples.clips import make_clip, pattern
from vidscan.cli.app import run
from vidscan.cli.failures import UsageError
from vidscan.cli.outputs import Outputs, holds_foreign_media
from vidscan.media import VideoWriter, write_png


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips, two names more for the first, and a report's page beside them."""
    make_clip(tmp_path / "a.mp4")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    os.link(tmp_path / "a.mp4", tmp_path / "hard.mp4")
    (tmp_path / "soft.mp4").symlink_to("a.mp4")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "r-01234567.html")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "o.jsonl.lock")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("check --report a.mp4 b.mp4", "--report"),
        ("check a.mp4 --overlay a.mp4", "--overlay"),
        ("check a.mp4 --overlay a.mp4 --overwrite", "CLIP a.mp4"),
        ("check a.mp4 --overlay sub/../a.mp4", "CLIP a.mp4"),
        ("check a.mp4 --overlay hard.mp4 --overwrite", "CLIP a.mp4"),
        ("check a.mp4 --overlay soft.mp4 --overwrite", "CLIP a.mp4"),
        ("check soft.mp4 --overlay a.mp4 --overwrite", "CLIP soft.mp4"),
        ("check a.mp4 --overlay A.MP4", "CLIP a.mp4"),
        ("check a.mp4 --overlay b.mp4", "--overwrite"),
        ("check a.mp4 --overlay out.mp4 --report OUT.mp4", "--report writes .html"),
        ("check a.mp4 --report sub/", "--report needs the name of a file"),
        ("check a.mp4 --report new/", "--report writes .html"),
        ("check a.mp4 --masks .", "CLIP a.mp4"),
        ("check a.mp4 r-01234567.html --report .", "--report"),
        ("scan . --out a.mp4 --overwrite", "CLIP a.mp4"),
        ("scan . --out o.jsonl", "CLIP o.jsonl.lock"),
        ("scan . --out o.jsonl --overwrite", "CLIP o.jsonl.lock"),
        ("scan . --index hard.mp4 --overwrite", "hard.mp4"),
        ("scan . --exclude a.mp4 --index a.mp4", "would replace CLIP"),
        ("scan a.mp4 --index b.mp4", "--overwrite"),
        ("scan . --report .", "r-01234567.html"),
        ("forge a.mp4 --kind mouth -o a.mp4 --overwrite", "CLIP a.mp4"),
        ("forge a.mp4 --kind mouth -o out.mp4 --mask hard.mp4 --overwrite", "CLIP a.mp4"),
        ("forge a.mp4 --kind swap --donor b.mp4 -o b.mp4 --overwrite", "--donor b.mp4"),
        ("forge a.mp4 --kind mouth -o b.mp4", "--overwrite"),
        ("inspect a.png -o a.png --overwrite", "CLIP a.png"),
        ("explain a.png -o A.png", "CLIP a.png"),
        ("enroll x x-2d711642b726.0.safetensors --dir . --overwrite", "CLIP x-2d711642b726.0.safetensors"),
    ],
)
def test_no_output_replaces_an_input(
    folder: Path, arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(folder / "a.png", pattern(1)[0])
    shutil.copy("a.mp4", "x-2d711642b726.0.safetensors")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert run(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and said in err
    option = next(word for word in arguments.split() if word.startswith("-") and word not in ("--kind",))
    assert {"-o": "--output"}.get(option, option) in err or said != option
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before


def test_media_that_vidscan_wrote_may_be_replaced(tmp_path: Path) -> None:
    film, foreign = tmp_path / "o.mp4", make_clip(tmp_path / "a.mp4")
    with VideoWriter(film, 96, 64, metadata={"comment": "drawn by vidscan"}) as writer:
        writer.write(pattern(1)[0])
    write_png(tmp_path / "o.png", pattern(1)[0], comment="drawn by vidscan")
    write_png(tmp_path / "a.png", pattern(1)[0])
    (tmp_path / "cut.mp4").write_bytes(foreign.read_bytes()[:200])
    (tmp_path / "page.html").write_text("<!doctype html>")
    found = {path.name: holds_foreign_media(path) for path in tmp_path.iterdir()}
    assert found == {
        "o.mp4": False,
        "a.mp4": True,
        "o.png": False,
        "a.png": True,
        "cut.mp4": True,
        "page.html": False,
    }


NAMES = st.text(st.sampled_from("aAéÉß.- \u0301"), min_size=1, max_size=6).filter(
    lambda n: n.strip(".") != ""
)


@given(NAMES, NAMES, st.sampled_from(["plain", "hard", "soft", "dots"]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_way_to_an_input_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, other: str, way: str
) -> None:
    folder = tmp_path_factory.mktemp("ways")
    clip = folder / name
    clip.write_bytes(b"x")
    target = folder / other
    if way == "dots":
        target = folder / "sub" / ".." / name
        (folder / "sub").mkdir(exist_ok=True)
    elif way != "plain" and not target.exists():
        (os.link if way == "hard" else os.symlink)(clip, target)
    outputs = Outputs([("CLIP", clip)])
    same = target.exists() and target.samefile(clip)
    try:
        outputs.file("--out", target)
        refused = False
    except UsageError as error:
        refused = "--out" in str(error) and "CLIP" in str(error)
    alike = unicodedata.normalize("NFC", other).casefold() == unicodedata.normalize("NFC", name).casefold()
    assert refused == (same or (way == "plain" and alike))


# --------------------------------------------------------------------------- products that fail


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs check on a clip of one face with untrained weights; returns code, report and stderr."""
    data = pytest.importorskip("skimage.data")
    from tests.patches.fixture_weights import make_weights

    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path / "weights")))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.toml").write_text("[settings]\nbehavior_fps = 0\n")
    write_png(tmp_path / "face.png", data.astronaut()[0:256, 96:352])

    def check(*arguments: str) -> tuple[int, dict, str]:
        code = run(["check", "--config", "v.toml", "face.png", "--json", "--device", "cpu", *arguments])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return check


def test_a_verdict_outlives_its_products(checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain, _ = checked("--exit-zero")
    (tmp_path / "file").write_text("not a folder")
    cases = [
        (["--overlay", "gone/o.png"], "overlay_not_written"),
        (["--overlay", "n" * 300 + ".png"], "overlay_not_written"),
        (["--overlay", "wrong.mp4"], "overlay_not_written"),
        (["--report", "file/page.html"], "page_not_written"),
        (["--masks", "file/masks"], "masks_not_written"),
    ]
    for arguments, warning in cases:
        code, report, err = checked(*arguments)
        assert code == 3 and report["verdict"] == plain["verdict"], arguments
        assert [note["code"] for note in report["warnings"]] == [warning]
        assert err.count("\n") == 1 and warning in err

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, report, _ = checked("--masks", "m", "--overlay", "o.png", "--report", "p.html")
    assert code == 3 and report["verdict"] == plain["verdict"]
    codes = [note["code"] for note in report["warnings"]]
    assert codes == ["masks_not_written", "overlay_not_written", "page_not_written"]
    assert not list(tmp_path.glob(".*part*")) and not (tmp_path / "o.png").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no device that is always full")  # noqa: PTH110
def test_a_full_standard_output_is_one_line_and_3(tmp_path: Path) -> None:
    import subprocess
    import sys

    with open("/dev/full", "w") as full:  # noqa: PTH123
        for arguments in (["schema"], ["--version"]):
            done = subprocess.run(
                [sys.executable, "-m", "vidscan", *arguments], stdout=full, stderr=subprocess.PIPE, text=True
            )
            assert done.returncode == 3 and done.stderr.count("\n") == 1, done.stderr
            assert "cannot write the output" in done.stderr
