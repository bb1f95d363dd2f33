"""Where on the face each method's clips look manipulated."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.manifests import entry
from tests.patches.fixture_weights import make_weights
from vidscan.errors import NoFaceError, SetupError
from vidscan.evaluation import heatmaps as module
from vidscan.evaluation.face_parts import FACE_PARTS, part_grid
from vidscan.evaluation.heatmaps import ClipMap, MapSink, group, heatmaps, table, tabulate
from vidscan.evaluation.scanning import Scanning, Scored
from vidscan.faces.align import TEMPLATE, CropSpec
from vidscan.types import CellGrid, FaceMap, FrameMaps

SPEC = CropSpec(224, 1.2)


def scored(file: str, identity: str, method: str = "") -> Scored:
    shown = entry(file, identity, method=method, family=method and "swap", kind="photo")
    return Scored(shown, 0.0, "no_manipulation_found", None)


# --------------------------------------------------------------------------- parts


@pytest.mark.parametrize("grid", [None, CellGrid(8.0, 7.0)])
def test_the_parts_of_the_template(grid: CellGrid | None) -> None:
    parts = part_grid(SPEC, 28, 28, grid)
    assert {FACE_PARTS[part] for part in np.unique(parts)} == set(FACE_PARTS)
    offset, stride = (3.5, 8.0) if grid is None else (grid.offset, grid.stride)
    points = np.vstack([SPEC.points, SPEC.from_template((TEMPLATE[3] + TEMPLATE[4]) / 2)])
    found = [FACE_PARTS[parts[round((y - offset) / stride), round((x - offset) / stride)]] for x, y in points]
    assert found[:3] == ["eyes", "eyes", "nose"] and found[5] == "mouth"
    assert FACE_PARTS[parts[0, 14]] == "hair or forehead" and FACE_PARTS[parts[14, 0]] == "background"
    assert FACE_PARTS[parts[27, 14]] in ("chin", "neck or clothing")


def test_cells_that_belong_further_down_see_what_is_further_down() -> None:
    edge = part_grid(SPEC, 28, 28)
    later = part_grid(SPEC, 28, 28, CellGrid(8.0, 3.5 + 8.0))
    np.testing.assert_array_equal(later[:-1, :-1], edge[1:, 1:])


def test_a_wider_crop_shows_less_face() -> None:
    tight, wide = (part_grid(CropSpec(224, margin), 28, 28) for margin in (1.0, 2.0))
    background = FACE_PARTS.index("background")
    assert (wide == background).mean() > (tight == background).mean()


# --------------------------------------------------------------------------- adding up


def region(track_id: int, peak: tuple[int, int], height: float = 0.9) -> FaceMap:
    cells = np.full((8, 8), 0.1, np.float32)
    cells[peak] = height
    return FaceMap(track_id, cells, np.eye(2, 3), 64)


def test_maps_add_up_by_track_and_analysed_frame() -> None:
    sink = MapSink(None)
    sink.write(
        FrameMaps(
            0,
            0.0,
            (64, 64),
            (
                region(1, (2, 3)),
                region(2, (0, 0)),
            ),
            False,
        )
    )
    sink.write(FrameMaps(1, 0.1, (64, 64), (region(1, (5, 5)),), True))
    sink.write(FrameMaps(2, 0.2, (64, 64), (region(1, (4, 4), 0.5),), False))
    sink.write(FrameMaps(3, 0.3, (64, 64), (), False))
    found = sink.clip_map(1)
    assert found is not None
    assert found.votes[2, 3] == found.votes[4, 4] == 0.5 and found.votes.sum() == 1
    assert found.mean[2, 3] == pytest.approx(0.5) and found.mean[5, 5] == pytest.approx(0.1)
    assert sink.clip_map(3) is None


def test_what_the_score_does_not_look_at_is_never_most_telling() -> None:
    sink = MapSink(0.75)
    cells = np.full((8, 8), 0.1, np.float32)
    cells[0, 0], cells[4, 4] = 0.99, 0.2
    sink.write(FrameMaps(0, 0.0, (64, 64), (FaceMap(0, cells, np.eye(2, 3), 64),), False))
    found = sink.clip_map(0)
    assert found is not None and found.votes[4, 4] == 1


def test_shares_and_what_chance_would_give() -> None:
    parts = part_grid(SPEC, 28, 28)

    def clip_map(*names: str) -> ClipMap:
        votes = np.zeros((28, 28))
        for name in names:
            votes[tuple(np.argwhere(parts == FACE_PARTS.index(name))[0])] += 1 / len(names)
        return ClipMap(np.zeros((28, 28)), votes)

    maps = {"g": clip_map("skin"), "a": clip_map("mouth"), "b": clip_map("mouth", "nose")}
    clips = [scored("g", "p"), scored("a", "q", "m"), scored("b", "r", "m"), scored("faceless", "s", "m")]
    groups = group(clips, maps)
    assert list(groups) == ["genuine", "all forged", "family swap", "method other swap"]
    found = tabulate(groups, maps, SPEC, 0.75)
    rows = {row.name: row for row in found.rows}
    assert rows["genuine"].shares["skin"].value == 1
    forged = rows["all forged"]
    assert (forged.clips, forged.people) == (2, 2)
    assert forged.shares["mouth"].value == 0.75 and forged.shares["nose"].value == 0.25
    assert forged.shares["mouth"].interval == (0.5, 1.0)
    for row in found.rows:
        assert sum(mean.value for mean in row.shares.values()) == pytest.approx(1)
    assert sum(found.area.values()) == pytest.approx(1)
    heads, lines = table(found)
    assert all(len(line) == len(heads) for line in lines) and lines[0][0] == "by area"
    assert "75% (50% to 100%)" in lines[2]


# --------------------------------------------------------------------------- end to end


def test_pictures_are_scanned_once_and_drawn_without_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    from skimage.data import astronaut

    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path / "w")))
    face = np.ascontiguousarray(astronaut()[:300, 60:400, ::-1])
    for name, image in (("a.png", face), ("b.png", face[:, ::-1]), ("none.png", face[220:, 250:])):
        cv2.imwrite(str(tmp_path / name), np.ascontiguousarray(image))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    clips = [scored("a.png", "p"), scored("b.png", "q", "m")]
    clips += [scored("none.png", "r", "m"), scored("broken.png", "s", "m")]
    counts: list[str] = []

    def stage(name: str, files: int) -> object:
        counts.append(f"{name} {files}")
        return lambda: counts.append(".")

    out = tmp_path / "out"
    how = Scanning(device="cpu", jobs=1)
    found = heatmaps(tmp_path, clips, out, how, stage)  # type: ignore[arg-type]
    assert counts == ["mapping clips 4", *"...."]
    assert [(row.name, row.clips) for row in found.rows][:2] == [("genuine", 1), ("all forged", 1)]
    maps = cv2.imread(str(out / "heatmaps.png"))
    assert maps is not None and cv2.imread(str(out / "face_parts.png")) is not None

    def again(task: object) -> None:
        raise NoFaceError("asked for a second time")

    monkeypatch.setattr(module, "read_clip", again)
    assert heatmaps(tmp_path, clips, out, how, stage) == found  # type: ignore[arg-type]
    with pytest.raises(SetupError, match="no clip shows a face"):
        heatmaps(tmp_path, clips[2:], out, how, stage)  # type: ignore[arg-type]


def test_without_matplotlib_nothing_is_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SetupError, match="matplotlib"):
        heatmaps(tmp_path, [scored("a.png", "p")], tmp_path, Scanning(), lambda *_: lambda: None)
