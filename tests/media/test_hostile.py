"""Hostile media through a real worker: a verdict or a coded error, within the limits of time and memory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from samples.clips import make_clip, pattern
from samples.fuzz import fuzzed
from samples.hostile import ESCAPE, KINDS, VERDICT, sound_bytes
from tests.patches.fixture_weights import make_weights
from vidscan.batch.discover import discover
from vidscan.batch.engine import Job, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.scan import scan_all
from vidscan.errors import InputError, UnreadableError
from vidscan.media import open_video
from vidscan.types import Report, ScanSettings

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, FIFOs and odd names need POSIX")

OURS = {"internal", "decoder_crashed", "timeout", "out_of_memory"}
"""What is never a file's own fault."""
_MEMORY = 3_000_000_000
_SECONDS = 60.0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """One warm worker for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path_factory.mktemp("weights"))))
        spec = ScannerSpec(settings=ScanSettings(), device="cpu")
        with LocalEngine(spec, jobs=1, timeout_s=_SECONDS, max_memory=_MEMORY) as made:
            made.start()
            yield made


def outcome(report: Report) -> str:
    return VERDICT if report.error is None else report.error.code


def test_there_are_sixty_kinds() -> None:
    assert len(KINDS) >= 60


def test_every_kind_is_a_verdict_or_a_coded_error(tmp_path: Path, engine: LocalEngine) -> None:
    paths = {}
    before = Path.cwd()
    for name, kind in KINDS.items():
        folder = tmp_path / name
        folder.mkdir()
        try:
            paths[kind.make(folder)] = name
        except pytest.skip.Exception:  # an encoder that this build lacks
            continue
        finally:
            os.chdir(before)
    worker = engine.pids
    found = {paths[job.path]: report for job, report in engine.scan([Job(path) for path in paths])}
    wrong = {
        name: report.error or report.verdict.label
        for name, report in found.items()
        if outcome(report) not in KINDS[name].outcomes
    }
    assert not wrong
    assert len(found) == len(paths)
    assert engine.pids == worker, "a file cost its worker"
    assert all(report.error is None or report.error.message for report in found.values())


def test_fuzzed_files(tmp_path: Path, engine: LocalEngine) -> None:
    worker = engine.pids
    jobs = [Job(path) for path in fuzzed(tmp_path, 40, seed=8)]
    found = dict(engine.scan(jobs))
    assert len(found) == 40
    assert not [report.error for report in found.values() if outcome(report) in OURS]
    assert engine.pids == worker
    assert any(report.error is None for report in found.values())
    assert any(report.error is not None for report in found.values())


def test_fuzzing_repeats_itself(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
    pairs = zip(fuzzed(first, 20, seed=1), fuzzed(second, 20, seed=1), strict=True)
    assert all(one.read_bytes() == two.read_bytes() for one, two in pairs)


def test_playlists_reach_no_server(tmp_path: Path) -> None:
    """Whatever names a URL, in any container's clothes, opens no connection."""
    contacts = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"

        def answer() -> None:
            try:
                while True:
                    server.accept()[0].close()
                    contacts.append(url)
            except OSError:
                return

        threading.Thread(target=answer, daemon=True).start()
        texts = {
            "hls": f"#EXTM3U\n#EXTINF:1,\n{url}\n",
            "concat": f"ffconcat version 1.0\nfile '{url}'\n",
            "dash": f'<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>',
            "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        }
        # The signatures of real containers in front, and of a transport stream all over.
        disguises = (
            b"",
            b"\x00\x00\x00\x18ftypisom",
            b"\x1a\x45\xdf\xa3",
            b"RIFF\0\0\0\0AVI ",
            b"\x47" * 752,
        )
        for number, (name, text) in enumerate(texts.items()):
            for disguise in disguises:
                path = tmp_path / f"{name}{number}.m3u8"
                path.write_bytes(disguise + b"\n" + text.encode())
                for decoder in ("pyav", "auto"):
                    with pytest.raises(InputError), open_video(path, decoder=decoder) as source:
                        list(source)
        for name in (url, f"concat:{url}", f"hls+{url}", f"crypto:{url}"):
            with pytest.raises(InputError):
                open_video(name)
        server.shutdown(socket.SHUT_RDWR)
    assert not contacts


def test_a_file_that_vanishes_or_shrinks_while_it_is_read(tmp_path: Path) -> None:
    def begun(name: str) -> tuple[Path, Iterator[object], object]:
        path = make_clip(tmp_path / name, pattern(40))
        source = open_video(path, chunk=4, prefetch=0, decoder="pyav")
        chunks = iter(source)
        next(chunks)
        return path, chunks, source

    path, chunks, source = begun("gone.mkv")
    path.unlink()
    assert sum(1 for _ in chunks) > 0  # an open file stays
    path, chunks, source = begun("cut.mkv")
    os.truncate(path, 0)
    list(chunks)  # the end comes early, and quietly or with a warning
    path = make_clip(tmp_path / "late.mkv", pattern(4))
    source = open_video(path, decoder="pyav")
    path.unlink()
    with pytest.raises(UnreadableError):
        list(source)


def test_frames_that_outgrow_their_header_are_not_decoded(tmp_path: Path) -> None:
    grey = np.full((4, 2048, 2048, 3), 90, np.uint8)
    large = make_clip(tmp_path / "large.ts", grey).read_bytes()
    path = tmp_path / "growing.ts"
    path.write_bytes(sound_bytes("ts") + large)
    with open_video(path) as source:
        assert sum(len(chunk.times) for chunk in source) == 16
    with open_video(path, max_pixels=100_000) as source:
        assert 8 <= sum(len(chunk.times) for chunk in source) <= 12
        assert "damaged" in {note.code for note in source.warnings}


def test_names_are_reported_whole_and_safely(tmp_path: Path, engine: LocalEngine) -> None:
    names = [kind for name, kind in KINDS.items() if name.startswith("name_") and VERDICT in kind.outcomes]
    made = sorted(os.fsencode(kind.make(tmp_path)) for kind in names)
    reports = list(scan_all(discover([tmp_path]), engine))
    # A picture's bytes under every name: scanned once, reported under each.
    assert len(reports) == len(made) and len({report.input.sha256 for report in reports}) == 1
    assert len({report.input.path for report in reports}) == len(made)


@pytest.mark.parametrize("arguments", [["check"], ["scan", "--jobs", "1"], ["scan", "--format", "csv"]])
def test_escape_sequences_reach_no_terminal(tmp_path: Path, arguments: list[str]) -> None:
    """In names and metadata, of good files and of bad ones, on both streams."""
    KINDS["escape_sequences_in_metadata"].make(tmp_path)
    (tmp_path / f"a{ESCAPE}.mp4").write_text("no video")
    (tmp_path / f"b{ESCAPE}.mp4").write_bytes(sound_bytes("mp4")[:900])
    (tmp_path / f"c{ESCAPE}.png").write_bytes(sound_bytes("png")[:300])
    program = [sys.executable, "-m", "vidscan", *arguments, *map(str, sorted(tmp_path.iterdir()))]
    weights = make_weights(tmp_path / "weights")
    env = {**os.environ, "VIDSCAN_WEIGHTS": str(weights), "VIDSCAN_DEVICE": "cpu"}
    result = subprocess.run(program, capture_output=True, cwd=ROOT, env=env, timeout=200)
    assert result.returncode == 3, result.stderr
    assert result.stdout.count(b"owned") >= 3
    for stream in (result.stdout, result.stderr):
        assert b"\x1b" not in stream and b"\x07" not in stream and b"\xc2\x9b" not in stream
    if "csv" not in arguments and "scan" in arguments:
        assert len([json.loads(line) for line in result.stdout.splitlines()]) == 4
