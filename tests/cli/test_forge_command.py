"""``vidscan forge``: what it writes, what it prints, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from samples.clips import make_clip
from tests.forge.moving_face import COUNT, FPS, SIDE, moving_face, write_moving_face
from vidscan.cli.app import run
from vidscan.forge.kinds import KINDS
from vidscan.media import open_video, write_png

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_face(tmp_path_factory.mktemp("clip") / "face.mkv")


def test_a_clip_and_its_mask(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake = tmp_path / "fake.mp4"
    assert (
        run(["forge", str(clip), "-o", str(fake), "--kind", "face_warp", "--seed", "4", "--start", ".2"]) == 0
    )
    mask = tmp_path / "fake-mask.mkv"
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(fake), str(mask)] and err == ""
    with open_video(fake) as source:
        assert (source.info.codec, source.info.width, source.info.height) == ("h264", SIDE, SIDE)
        times = np.concatenate([chunk.times for chunk in source])
    np.testing.assert_allclose(times, np.arange(COUNT) / FPS, atol=2e-3)
    with av.open(str(fake)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert container.metadata["title"] == "forged by vidscan (face_warp, seed 4)"
        assert "forged by vidscan" in container.metadata["comment"]
    with av.open(str(mask)) as container:
        assert container.streams.video[0].codec_context.name == "ffv1"
        levels = np.stack([frame.to_ndarray() for frame in container.decode(video=0)])
    assert levels.shape == (COUNT, SIDE, SIDE)
    assert [bool(frame.any()) for frame in levels] == [time >= 0.2 for time in times]


def test_a_picture_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    face, fake, mask = tmp_path / "face.jpg", tmp_path / "fake.png", tmp_path / "where.png"
    cv2.imwrite(str(face), moving_face()[0][..., ::-1])
    arguments = ["forge", str(face), "-o", str(fake), "--kind", "self_blend", "--mask", str(mask), "--json"]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {
        "output": str(fake),
        "mask": str(mask),
        "kind": "self_blend",
        "seed": 0,
        "frames": 1,
        "forged_frames": 1,
        "faces": 1,
        "sound": None,
    }
    before, after, where = (cv2.imread(str(path)) for path in (face, fake, mask))
    assert (before != after).any() and (before == after)[where == 0].all()
    assert b"forged by vidscan" in fake.read_bytes()
    assert run(arguments) == 2
    assert "exists: use --overwrite" in capsys.readouterr().err
    assert run([*arguments, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "swap"], "error[setup]: swap needs a donor"),
        (["--kind", "nonsense"], "error[usage]"),
        (["--kind", "mouth", "--start", "2", "--end", "1"], "error[usage]: --end 1 is not after"),
        (["--kind", "mouth", "--track", "0", "--all-faces"], "error[usage]: --track and --all-faces"),
        (["--kind", "mouth", "--start", "60"], "error[setup]"),
        (["--kind", "mouth", "-o", "CLIP"], "error[usage]: CLIP is an input"),
        (["--kind", "mouth", "-o", "gone/fake.mp4"], "error[usage]: gone is not a folder"),
        (["--kind", "mouth", "-o", "fake.webm"], "error[setup]: fake.webm"),
        (["--kind", "mouth", "--teacher", "gone.task"], "error[setup]"),
        ([], "error[usage]"),
    ],
)
def test_usage_errors(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(clip) if argument == "CLIP" else argument for argument in arguments]
    if "-o" not in given:
        given += ["-o", "fake.mp4"]
    assert run(["forge", str(clip), *given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert message.replace("CLIP", str(clip)) in err
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_cannot_be_forged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_clip(tmp_path / "empty.mp4")
    write_png(tmp_path / "empty.png", np.full((80, 80, 3), 90, np.uint8))
    for name, code in (("empty.mp4", "no_face"), ("empty.png", "no_face"), ("gone.mp4", "not_found")):
        fake = tmp_path / "fake.mp4"
        assert run(["forge", str(tmp_path / name), "-o", str(fake), "--kind", "mouth"]) == 3
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and f"error[{code}]" in err
        assert not fake.exists()


def test_help_and_documents_name_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["forge", "--help"]) == 0
    printed = capsys.readouterr().out
    document = (Path(__file__).parents[2] / "docs" / "forge.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert kind.value in printed and f"| `{kind.value}` |" in document
