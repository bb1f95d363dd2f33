"""Report writers: JSON and its schema, CSV, text, masks."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from sample_reports import MODELS, sample, with_frames

from vidscan.report import FORMATS, open_writer
from vidscan.report import json as report_json
from vidscan.report.csv import COLUMNS
from vidscan.report.text import TextWriter
from vidscan.report.words import escape, headline, timecode
from vidscan.types import ErrorInfo, FrameMaps, Report, VideoInfo

LABELS = ("no_manipulation_found", "uncertain", "manipulated", "no_face", "error")
VIDEO = VideoInfo("mp4", "h264", 64, 48, 25.0, 1.0, 0, False, "pyav")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def rendered(format: str, *reports: Report, many: bool = False) -> str:
    stream = io.StringIO()
    writer = open_writer(format, stream, many=many)
    for report in reports:
        writer.write(report)
    return stream.getvalue()


@pytest.mark.parametrize("label", LABELS)
def test_every_report_follows_the_schema(label: str) -> None:
    schema = report_json.report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    error = ErrorInfo("corrupt", "broken") if label == "error" else None
    for report in (sample(label, error=error), with_frames(sample(label, error=error))):
        jsonschema.Draft202012Validator(schema).validate(json.loads(report_json.dumps(report)))


def test_schema_requires_all_but_what_must_be_asked_for() -> None:
    schema = report_json.report_schema()
    assert set(schema["properties"]) - set(schema["required"]) == {"frames", "forensics", "provenance"}
    data = report_json.to_dict(sample())
    del data["verdict"]["score"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(data)


def test_json_round_trip_and_order() -> None:
    report = with_frames(sample("manipulated"))
    text = report_json.dumps(report)
    again = report_json.loads(text)
    assert report_json.dumps(again) == text
    assert isinstance(again, Report) and again.segments == report.segments
    assert list(json.loads(text))[:4] == ["schema_version", "tool", "models", "device"]


def test_frames_only_where_asked_for() -> None:
    report = sample()
    assert "frames" not in report_json.to_dict(report)
    assert report_json.to_dict(with_frames(report))["frames"]
    asked = replace(report, settings={**report.settings, "frames": True})
    assert report_json.to_dict(asked)["frames"] == []


def test_floats_are_rounded_and_finite() -> None:
    data = report_json.to_dict(sample())
    assert data["signals"]["patch"]["values"]["mean"] == 0.333333
    odd = replace(
        sample(), device="cpu", settings={"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True)}
    )
    assert report_json.to_dict(odd)["settings"] == {"a": 0.5, "b": 3, "c": True}
    for bad in (float("nan"), float("inf"), np.float32("nan")):
        with pytest.raises(ValueError, match=r"report\.settings\.a"):
            report_json.dumps(replace(sample(), settings={"a": bad}))


def test_loads_refuses_other_text() -> None:
    for text in ("{", "[]", '{"schema_version":"0.1"}', '{"schema_version":"1.0"}'):
        with pytest.raises(ValueError):
            report_json.loads(text)


def test_json_is_indented_for_one_and_lines_for_many() -> None:
    assert rendered("json", sample()).count("\n") > 20
    assert rendered("json", sample(), sample(), many=True).count("\n") == 2
    assert rendered("jsonl", sample()).count("\n") == 1
    with pytest.raises(ValueError, match="html"):
        open_writer("html", io.StringIO())


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\uff1d"])
def test_csv_holds_no_formula(start: str) -> None:
    rows = list(
        csv.reader(io.StringIO(rendered("csv", sample(path=f"{start}cmd.mp4"), sample()), newline=""))
    )
    assert rows[0] == list(COLUMNS)
    assert rows[1][0] == f"'{start}cmd.mp4"
    assert rows[2][0] == "clip.mp4"


def test_csv_escapes_what_steers_a_terminal_or_breaks_a_line() -> None:
    text = rendered("csv", sample(path='\t=a"\x1b[31m\r\n\u202e,.mp4'))
    assert text.count("\n") == 2
    assert not set(text) & set("\x1b\r\t\u202e")
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["path"] == '\\x09=a"\\x1b[31m\\x0d\\x0a\\u202e,.mp4'


def test_csv_names_the_worst_segment() -> None:
    row = next(csv.DictReader(io.StringIO(rendered("csv", sample("manipulated")))))
    assert (row["label"], row["start_s"], row["worst_track"]) == ("manipulated", "3.04", "1")
    row = next(csv.DictReader(io.StringIO(rendered("csv", sample("no_face")))))
    assert (row["score"], row["p_value"]) == ("", "")


def test_text_says_verdict_and_time() -> None:
    text = rendered("text", sample("manipulated"))
    assert "Face manipulation found in 1 of 2 faces" in text
    assert "0:01:15.3" in text and "Patches look generated" in text and "The face is small" in text
    assert "sound, scene and edits not examined" in headline(sample("no_manipulation_found"))
    assert "at least 40 pixels" in headline(sample("no_face"))
    assert "\x1b" not in text


def test_text_escapes_what_steers_a_terminal() -> None:
    text = rendered("text", sample(path="a\x1b[31m\u202egpj.mp4"))
    assert "a\\x1b[31m\\u202egpj.mp4" in text
    assert escape(os.fsdecode(b"a\xff")) == "a\\xff"


@pytest.mark.parametrize("width", ["12", "40", "200"])
def test_text_on_terminals(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colour = Terminal()
    TextWriter(colour).write(sample("manipulated", path="[red]x.mp4"))
    assert "\x1b[" in colour.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    TextWriter(plain).write(sample("manipulated", path="[red]x.mp4"))
    assert "\x1b" not in plain.getvalue()  # neither color nor bold
    assert "[red]x.mp4" in plain.getvalue()
    assert max(map(len, plain.getvalue().splitlines())) <= int(width)


def test_every_format_has_a_writer() -> None:
    for format in FORMATS:
        assert rendered(format, sample())


def test_timecode() -> None:
    assert [timecode(t) for t in (0, 59.96, 3661.25)] == ["0:00:00.0", "0:01:00.0", "1:01:01.3"]


def test_masks(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vidscan.media.writer")
    import cv2

    from vidscan.report.masks import MaskWriter
    from vidscan.types import FaceMap

    half = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
    regions = [
        FaceMap(2, np.full((4, 4), 0.4, np.float32), half, 32),
        FaceMap(1, np.full((4, 4), 0.8, np.float32), half - [[0, 0, 16], [0, 0, 0]], 32),
    ]
    folder = tmp_path / "deep" / "masks"
    for every in (1, 2):
        writer = MaskWriter(folder, every=every)
        writer.begin(VIDEO, "0123456789" * 6 + "abcd", "in/..my clip\n.mp4")
        names = [writer.write(FrameMaps(n, n / 25, (48, 64), tuple(regions), n == 1)) for n in range(3)]
        writer.close(MODELS)
        clip = folder / "my_clip_-01234567"
        index = json.loads((clip / "masks.json").read_text())
        # The first run's 000001.png is gone after the second.
        assert sorted(p.name for p in clip.glob("*.png")) == [f["file"] for f in index["frames"]]
        assert not list(clip.glob(".*"))
    assert names == ["my_clip_-01234567/000000.png", None, "my_clip_-01234567/000002.png"]
    assert index["scale"] == 255 and index["models"][0]["name"] == "patches"
    assert index["frames"][1] == {
        "index": 2, "time_s": 0.08, "file": "000002.png", "tracks": [1, 2], "interpolated": False,
    }  # fmt: skip
    mask = cv2.imread(str(clip / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (48, 64) and mask.dtype == np.uint8
    assert (mask[5, 5], mask[5, 24], mask[5, 40], mask[5, 60], mask[40, 5]) == (102, 204, 204, 0, 0)
