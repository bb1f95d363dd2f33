"""The picture of a training run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from vidscan.errors import SetupError
from vidscan.training import curves
from vidscan.training.curves import best_epoch, draw_run, update_dashboard
from vidscan.training.log import log_line, read_log


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


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ({"steps": 100, "loss": 0.5, "seconds": 3.0}, ["loss"]),
        (
            {"faces": 25_000, "loss": 0.5, "nme": 0.05, "angle": 3.0, "units": 0.8, "worst_is": 9.0},
            ["loss", "nme", "angle", "share, AUC, correlation"],
        ),
        (
            {"crops": 10, "loss": 0.5, "accuracy": 0.9, "transfer": {"family swap": 0.6, "all": 0.7}},
            ["loss", "share, AUC, correlation", "dev AUC (transfer)"],
        ),
    ],
)
def test_every_trainers_log_is_drawn_with_its_best_epochs(
    line: dict[str, Any], labels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    figures: list[Any] = []
    save = curves.save_figure
    monkeypatch.setattr(
        curves, "save_figure", lambda figure, out: (figures.append(figure), save(figure, out))
    )
    (count, first), *_ = line.items()
    for factor, loss in ((1, 0.5), (2, 0.25), (3, 0.4)):
        log_line(tmp_path, line | {count: factor * first, "loss": loss})
    update_dashboard(tmp_path)
    assert cv2.imread(str(tmp_path / "curves.png")) is not None
    (figure,) = figures
    assert [axis.get_ylabel() for axis in figure.axes] == labels
    (text, *_) = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert text == f"loss (best 0.25 at {2 * first:,})"


def test_the_best_epoch_is_the_lowest_error_and_the_highest_share() -> None:
    lines = [
        {"val_loss": 3, "accuracy": 0.7},
        {"val_loss": 1, "accuracy": 0.9},
        {"val_loss": 1, "accuracy": 0.8},
    ]
    assert best_epoch(lines, "val_loss") == best_epoch(lines, "accuracy") == 1


def test_without_matplotlib_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    log_line(tmp_path, {"steps": 1, "loss": 1.0})
    update_dashboard(tmp_path)
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("text", [None, "", "not json\n"])
def test_a_run_without_a_log_is_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(SetupError, match="training log") as error:
        read_log(tmp_path)
    assert "\n" not in str(error.value)
