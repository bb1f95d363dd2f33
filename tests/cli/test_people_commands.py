"""``vidscan enroll`` and ``vidscan people``: what they print, what they keep, how they end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import vidscan.scanner
from tests.person_series import person_series
from vidscan.behavior.series import cut
from vidscan.cli import enroll, failures, people
from vidscan.errors import CorruptError, NotFoundError
from vidscan.people.store import PeopleStore
from vidscan.report import people_plot
from vidscan.types import FaceSeries

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(enroll.enroll)
app.add_typer(people.app, name="people")

Run = Callable[..., tuple[int, str, str]]


class FakeScanner:
    """Finds in a file named ``ada-2.mp4`` the second clip of Ada, after a short track of somebody else."""

    def __init__(self, settings: object = None, *, device: str = "auto", forensics: bool = False) -> None:
        self.device = device

    def series(self, path: Path) -> list[FaceSeries]:
        if not path.exists():
            raise NotFoundError(f"{path}: no such file")
        if path.stem.startswith("damaged"):
            raise CorruptError(f"{path}: damaged")
        if path.stem.startswith("empty"):
            return []
        name, number = path.stem.split("-")
        person = sum(name.encode())
        if path.stem.startswith("brief"):
            return [cut(person_series(person, 12.0, clip=int(number)), 0, 6)]
        glimpse = cut(person_series(person + 1, 12.0, clip=int(number), track_id=0), 0, 12)
        return [glimpse, person_series(person, 30.0, clip=int(number), track_id=4)]


@pytest.fixture
def vidscan_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(vidscan.scanner, "Scanner", FakeScanner)
    monkeypatch.setenv("VIDSCAN_PEOPLE", str(tmp_path / "people"))
    monkeypatch.chdir(tmp_path)
    for name in ("ada-0", "ada-1", "ada-2", "bo-0", "bo-1", "brief-0", "damaged-0", "empty-0"):
        Path(f"{name}.mp4").write_text(name)

    def run(*arguments: str) -> tuple[int, str, str]:
        def invoke() -> None:
            command: Any = typer.main.get_command(app)
            with command.make_context("vidscan", list(arguments)) as context:
                command.invoke(context)

        code = failures.guard(invoke)
        return code, *capfd.readouterr()

    return run


def test_enroll_says_what_was_learnt(vidscan_run: Run) -> None:
    code, out, err = vidscan_run("enroll", "Ada", "ada-0.mp4", "ada-1.mp4")
    assert (code, err) == (0, "")
    assert out == (
        "Ada: learned 60.0 s in 82 windows of 10 s from 2 clips; "
        "calibrated on 2 clips, each left out in turn\n"
    )
    model = PeopleStore().load("Ada")
    assert model.judge(person_series(sum(b"ada"), clip=5)).status == "ok"
    # the longest track was learned, not the first
    own, other = (model.judge(person_series(sum(b"ada") + i, clip=5)).score or 0 for i in (0, 1))
    assert own < other


def test_enroll_json_options_and_folder(vidscan_run: Run, tmp_path: Path) -> None:
    code, out, _ = vidscan_run(
        *("enroll", "Zoë", "ada-0.mp4", "--dir", "here", "--window", "5", "--min-seconds", "30", "--json")
    )
    record = json.loads(out)
    assert code == 0 and "ë" in out
    assert (record["name"], record["window_s"], record["clips"], record["left_out"]) == (
        "Zoë",
        5,
        1,
        "blocks",
    )
    assert PeopleStore(tmp_path / "here").record("Zoë").seconds == 30
    assert not (tmp_path / "people").exists()


def test_enroll_takes_the_track_it_is_told(vidscan_run: Run) -> None:
    arguments = ("enroll", "Other", "ada-0.mp4", "ada-1.mp4", "--min-seconds", "20")
    assert vidscan_run(*arguments, "--track", "0", "--track", "0")[0] == 0
    assert PeopleStore().record("Other").seconds == 24
    code, out, err = vidscan_run(*arguments, "--overwrite", "--track", "0", "--track", "3")
    assert (code, out) == (3, "")
    assert "ada-1.mp4: no track 3 (there are: 0, 4)" in err and "error[too_little_material]" in err
    code, _, err = vidscan_run(*arguments, "--overwrite", "--track", "0")
    assert code == 2 and "error[usage]: --track" in err


def test_a_bad_clip_is_reported_and_the_others_count(vidscan_run: Run) -> None:
    code, out, err = vidscan_run(
        *("enroll", "Ada", "damaged-0.mp4", "ada-0.mp4", "empty-0.mp4", "ada-1.mp4", "absent.mp4")
    )
    assert code == 3 and "from 2 clips" in out
    assert re.findall(r"error\[(\w+)\]", err) == ["corrupt", "no_face", "not_found"]
    assert len(err.splitlines()) == 3
    code, out, err = vidscan_run("enroll", "Bo", "absent.mp4")
    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "Bo" not in PeopleStore()


def test_a_clip_that_teaches_nothing_is_reported_and_the_others_count(vidscan_run: Run) -> None:
    code, out, err = vidscan_run("enroll", "Ada", "ada-0.mp4", "brief-0.mp4", "ada-1.mp4")
    assert code == 3 and "from 2 clips" in out
    assert len(err.splitlines()) == 1
    assert "error[too_little_material]: brief-0.mp4: nothing was learned from it" in err
    code, out, err = vidscan_run("enroll", "Bo", "brief-0.mp4")
    assert (code, out, len(err.splitlines())) == (3, "", 1)


def test_the_same_content_counts_once(vidscan_run: Run, tmp_path: Path) -> None:
    (tmp_path / "ada-9.mp4").write_text("ada-0")
    code, _, err = vidscan_run("enroll", "Ada", "ada-0.mp4", "ada-9.mp4")
    assert code == 3
    assert "ada-9.mp4 is the same as ada-0.mp4: counted once" in err
    assert "a face was followed for 30.0 s in 1 clip, 30.0 s of it in whole windows of 10 s; 60 s" in err
    assert "needed, 30.0 s are missing" in err
    assert "Ada" not in PeopleStore()


def test_nobody_is_replaced_unasked(vidscan_run: Run) -> None:
    arguments = ("enroll", "Ada", "ada-0.mp4", "ada-1.mp4")
    assert vidscan_run(*arguments)[0] == 0
    code, out, err = vidscan_run(*arguments)
    assert (code, out) == (2, "") and "error[usage]: Ada is enrolled" in err
    assert vidscan_run(*arguments, "ada-2.mp4", "--overwrite")[0] == 0
    assert PeopleStore().record("Ada").clips == 3


def test_names_that_cannot_be(vidscan_run: Run) -> None:
    code, out, err = vidscan_run("enroll", "a\x1b[2J", "ada-0.mp4")
    assert (code, out) == (2, "") and "error[person]" in err and "\x1b" not in err


def test_list_and_remove(vidscan_run: Run, tmp_path: Path) -> None:
    assert vidscan_run("people", "list") == (0, "", "")
    vidscan_run("enroll", "Bo", "bo-0.mp4", "bo-1.mp4")
    vidscan_run("enroll", "ada", "ada-0.mp4", "ada-1.mp4", "ada-2.mp4")
    code, out, _ = vidscan_run("people", "list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["ada", "Bo"]
    assert "90.0 s" in out and "3 clips" in out
    code, out, _ = vidscan_run("people", "list", "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["ada", "Bo"]
    (damaged,) = (tmp_path / "people").glob("bo*.json")
    damaged.write_text("{")
    code, out, err = vidscan_run("people", "list")
    assert code == 2 and out.startswith("ada") and "Bo" not in out
    assert len(err.splitlines()) == 1 and "error[person]" in err
    assert vidscan_run("people", "remove", "Bo") == (0, "removed Bo\n", "")
    code, out, err = vidscan_run("people", "remove", "Bo")
    assert (code, out) == (2, "") and "Bo is not enrolled" in err
    assert len(list((tmp_path / "people").iterdir())) == 2


def test_plot(vidscan_run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cv2 = pytest.importorskip("cv2")
    code, out, err = vidscan_run("people", "plot", "-o", "people.png")
    assert (code, out) == (2, "") and "error[setup]" in err
    vidscan_run("enroll", "_$x^", "ada-0.mp4", "ada-1.mp4")
    vidscan_run("enroll", "Bo", "bo-0.mp4", "bo-1.mp4", "--window", "5")
    assert vidscan_run("people", "plot", "-o", "people.png")[:2] == (0, "people.png\n")
    picture = cv2.imread("people.png")
    assert min(picture.shape[:2]) > 500 and np.median(picture) == 255
    # both people's colors (BGR) are there
    for colour in ((178, 114, 0), (0, 94, 213)):
        near = np.abs(picture.astype(int) - colour).max(2) < 70
        assert near.sum() > 300
    code, _, err = vidscan_run("people", "plot", "-o", "people.png")
    assert code == 2 and "use --overwrite" in err
    before = (tmp_path / "people.png").read_bytes()
    assert vidscan_run("people", "plot", "-o", "people.png", "--overwrite")[0] == 0
    assert (tmp_path / "people.png").read_bytes() == before
    assert vidscan_run("people", "plot", "-o", "people.jpg")[0] == 2


def test_clips_stand_out_before_people_and_genuine_windows(
    vidscan_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    groups: list[Any] = []
    whole = people_plot._groups
    monkeypatch.setattr(people_plot, "_groups", lambda *given: groups.append(whole(*given)) or groups[-1])
    vidscan_run("enroll", "Ada", "ada-0.mp4", "ada-1.mp4")
    arguments = ("people", "plot", "ada-2.mp4", "-o", "map.png", "--genuine", "bo-0.mp4")
    assert vidscan_run(*arguments, "--genuine", "bo-1.mp4") == (0, "map.png\n", "")
    assert [group.name for group in groups[-1]] == ["genuine clips of others", "Ada", "clip ada-2.mp4"]
    back, person, clip = (group.style for group in groups[-1])
    assert back["s"] < person["s"] < clip["s"] and person["alpha"] < 0.5 and "alpha" not in clip
    code, out, err = vidscan_run("people", "plot", "empty-0.mp4", "ada-2.mp4", "-o", "other.png")
    assert (code, out) == (
        3,
        "other.png\n",
    ) and err == "vidscan: error[no_face]: empty-0.mp4: no face found\n"
    assert vidscan_run("people", "plot", "ada-2.mp4", "-o", "ada-2.mp4", "--overwrite")[0] == 2


def test_plot_without_matplotlib(vidscan_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    code, _, err = vidscan_run("people", "plot", "-o", "people.png")
    assert code == 2 and "pip install '.[plot]'" in err


@pytest.mark.parametrize("count", [4, 5, 12])
def test_few_windows_can_be_mapped(count: int) -> None:
    from vidscan.report.people_plot import embed

    vectors = np.random.default_rng(0).normal(size=(count, 210)).astype(np.float16)
    vectors[:, 3] = np.nan
    assert np.isfinite(embed(vectors)).all() and embed(vectors).shape == (count, 2)
    assert np.isfinite(embed(np.zeros((count, 210)))).all()


def test_every_command_has_help(vidscan_run: Run) -> None:
    for command in (("enroll",), ("people", "list"), ("people", "remove"), ("people", "plot")):
        code, out, _ = vidscan_run(*command, "--help")
        assert code == 0 and "Usage:" in out
