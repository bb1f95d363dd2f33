"""Earlier codings, interlacing, repeated and missing frames, on clips made of real footage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from samples.clips import make_clip, numbered, pattern
from vidscan.evaluation.forensic_material import deinterlaced, save_clip, woven
from vidscan.forensics.base import Finding, Instrument
from vidscan.forensics.coded import Strip
from vidscan.forensics.frames import MissingFrames, RepeatedFrames, time_gaps
from vidscan.forensics.interlacing import Interlacing, parity
from vidscan.forensics.material import Material
from vidscan.forensics.regroup import FormerGroups, period
from vidscan.media import open_video

Frames = list[NDArray[np.uint8]]


def examined(instrument: Instrument, path: Path) -> Finding:
    return instrument.examine(Material(path))


def decoded(path: Path) -> Frames:
    with open_video(path) as source:
        return [image for chunk in source for image in chunk.images]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, footage: Frames) -> Path:
    # On some processors what x264's macroblock tree decides hangs on what the process did before.
    steady = {"x264-params": "mbtree=0"}
    return save_clip(footage, tmp_path_factory.mktemp("once") / "once.mp4", options=steady)


def test_a_strip_tells_kinds_sizes_and_times(once: Path) -> None:
    strip = Material(once).strip
    assert strip is not None
    assert len(strip.times) == 150 and strip.times[25] == pytest.approx(1.0)
    assert strip.key.tolist() == [True] + [False] * 149
    assert set(strip.kinds) == {"I", "P", "B"} and strip.kinds[0] == "I"
    assert strip.bytes.min() > 0 and strip.bytes.sum() < once.stat().st_size
    assert strip.bytes[0] == strip.bytes.max()
    assert len(strip.pairs) == 6 and strip.pairs[0].first.shape == (320, 320)
    again = Material(once).strip
    assert again is not None and np.array_equal(again.thumbs, strip.thumbs)


@pytest.mark.parametrize("gop", [12, 15, 25])
def test_the_period_of_an_earlier_coding(tmp_path: Path, footage: Frames, gop: int) -> None:
    first = save_clip(footage, tmp_path / "a.mp4", gop=gop, crf=30)
    finding = examined(FormerGroups(), save_clip(decoded(first), tmp_path / "b.mp4", crf=16))
    assert finding.score is not None and finding.score > 0
    assert f"every {gop} frames" in finding.message
    steps = np.diff([mark.start_s for mark in finding.marks])
    assert np.allclose(steps, gop / 25)


def test_one_coding_has_no_period(once: Path) -> None:
    finding = examined(FormerGroups(), once)
    assert finding.score == 0.0 and finding.series is not None


def test_period_of_a_trace() -> None:
    rng = np.random.default_rng(0)
    trace = rng.random(200)
    assert period(trace)[0] < 5
    trace[3::11] += 3
    strength, length, phase = period(trace)
    assert strength > 9 and (length, phase) == (11, 3)
    assert period(np.zeros(100)) == (0.0, 0, 0)


def test_repeated_stretches_are_found_with_their_times(tmp_path: Path, footage: Frames, once: Path) -> None:
    assert examined(RepeatedFrames(), once).score == 0.0
    copied = footage[:100] + footage[30:60] + footage[100:]
    finding = examined(RepeatedFrames(), save_clip(copied, tmp_path / "a.mp4"))
    assert finding.score == 1.0
    (mark,) = finding.marks
    assert mark.start_s == pytest.approx(4.0, abs=0.2) and mark.end_s == pytest.approx(5.2, abs=0.2)
    assert "1.2" in mark.message


def test_frames_shown_twice(tmp_path: Path, footage: Frames) -> None:
    doubled = [image for n, image in enumerate(footage) for image in [image] * (1 + (n % 4 == 3))]
    finding = examined(RepeatedFrames(), save_clip(doubled, tmp_path / "a.mp4", crf=18))
    assert finding.score is not None and 0.05 < finding.score <= 0.5
    assert finding.marks[0].message == "repeats the frame before"


def test_a_cut_within_a_scene_is_found_with_its_time(tmp_path: Path, footage: Frames, once: Path) -> None:
    finding = examined(MissingFrames(), once)
    assert finding.score == 0.0 and not finding.marks
    # Still frames about the cut, so that the jump is the only motion of its kind.
    short = footage[:50] + footage[100:]
    finding = examined(MissingFrames(), save_clip(short, tmp_path / "a.mp4"))
    assert finding.score is not None and finding.score > 0.2
    assert any(mark.start_s == pytest.approx(49 / 25, abs=0.05) for mark in finding.marks)


def test_a_gap_in_the_time_stamps(tmp_path: Path) -> None:
    times = [n / 25 for n in range(40) if not 20 <= n < 25]
    clip = make_clip(tmp_path / "a.mp4", pattern(len(times)), times=times)
    strip = Material(clip).strip
    assert strip is not None and time_gaps(strip).tolist() == [19]
    finding = examined(MissingFrames(), clip)
    assert finding.score is not None and finding.score >= 0.5
    assert "time stamps" in finding.marks[0].message


def test_an_uneven_clock_has_no_gaps() -> None:
    times = np.cumsum(np.tile([0.04, 0.09], 20))
    empty = np.zeros(40)
    strip = Strip(times, empty.astype(str), empty > 0, empty.astype(int), empty[:, None, None], empty, ())
    assert time_gaps(strip).size == 0


def test_deinterlaced_video_and_a_part_that_is_not(tmp_path: Path, footage: Frames, once: Path) -> None:
    assert examined(Interlacing(), once).status == "not_applicable"
    made = deinterlaced(woven(footage))
    finding = examined(Interlacing(), save_clip(made, tmp_path / "a.mp4", crf=16))
    assert finding.status == "ok" and "odd lines" in finding.message
    pasted = [image.copy() for image in made]
    for image, other in zip(pasted, footage[::2], strict=False):
        image[64:192, 96:224] = other[64:192, 96:224]
    part = examined(Interlacing(), save_clip(pasted, tmp_path / "b.mp4", crf=16))
    assert part.score is not None and finding.score is not None and part.score > finding.score
    assert part.map is not None and finding.map is not None
    assert part.map[2:6, 3:7].mean() > part.map[7:].mean() + 0.2


def test_parity_is_symmetrical(photo: NDArray[np.uint8]) -> None:
    plane = photo[..., 0]
    assert abs(float(np.nanmedian(parity(plane)))) < 0.2
    odd = plane.copy()
    odd[1:-1:2] = (odd[:-2:2].astype(int) + odd[2::2]) // 2
    assert float(np.nanmedian(parity(odd))) > 1
    assert float(np.nanmedian(parity(odd[1:]))) < -1


def test_interlaced_video_is_known(tmp_path: Path, footage: Frames) -> None:
    # Sideways motion of the whole picture, so that every edge is torn.
    moved = [np.ascontiguousarray(np.roll(image, 3 * n, axis=1)) for n, image in enumerate(footage[:80])]
    clip = save_clip(woven(moved), tmp_path / "a.mp4", interlaced=True, crf=16)
    finding = examined(Interlacing(), clip)
    assert finding.status == "ok" and finding.message.startswith("Interlaced video")
    mixed = [image.copy() for image in woven(moved)]
    for image, other in zip(mixed, moved[::2], strict=False):
        image[64:224, 64:256] = other[64:224, 64:256]
    part = examined(Interlacing(), save_clip(mixed, tmp_path / "b.mp4", interlaced=True, crf=16))
    assert finding.score is not None and part.score is not None
    assert part.score > finding.score + 0.1


def test_too_short_and_no_video(tmp_path: Path) -> None:
    short = make_clip(tmp_path / "a.mp4", numbered(8, 128, 128))
    codes = [examined(made(), short).code for made in (FormerGroups, RepeatedFrames, MissingFrames)]
    assert codes == ["too_short"] * 3
    gif = make_clip(tmp_path / "a.gif", numbered(8, 128, 128), codec="gif", pix_fmt="rgb8")
    assert examined(FormerGroups(), gif).code == "too_short"
