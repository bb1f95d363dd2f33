"""The picture of a training run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from vidscan.errors import SetupError
from vidscan.training.curves import draw_run
from vidscan.training.log import read_log


def write_log(folder: Path, *, transfer: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(1, 5):
        line = {"crops": 100 * i, "loss": 1 / i, "accuracy": 0.5 + i / 20, "seconds": i}
        if transfer and i > 1:
            line["transfer"] = {"family swap": 0.6, "same footage": 0.7, "method x": 0.1, "all": 0.6}
            line["high_band_auc"] = 0.5
        lines.append(json.dumps(line) + "\n")
    (folder / "log.jsonl").write_text("".join(lines))


def test_a_run_is_drawn_with_and_without_transfer(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pictures = []
    for transfer in (False, True):
        write_log(tmp_path / "run", transfer=transfer)
        out = tmp_path / "new" / f"{transfer}.png"
        draw_run(tmp_path / "run", out)
        picture = cv2.imread(str(out))
        assert picture is not None and min(picture.shape[:2]) > 400
        pictures.append(picture)
    ink = [int((p[-p.shape[0] // 3 :] < 250).any(2).sum()) for p in pictures]
    assert ink[1] > ink[0] + 500  # the transfer panel is the lowest


@pytest.mark.parametrize("text", [None, "", "not json\n"])
def test_a_run_without_a_log_is_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(SetupError, match="training log") as error:
        read_log(tmp_path)
    assert "\n" not in str(error.value)
