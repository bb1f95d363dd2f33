"""What is detectable: where on the face each method's clips look manipulated.

After Chai et al., *What makes fake images detectable?* (ECCV 2020): the mean heatmap of each method over
aligned crops, and how often the most telling patch lies on which part of the face
(:mod:`vidscan.evaluation.face_parts`: geometry, not segmentation). Only patches that the pooled
score looks at can be the most telling one. Of each clip the track with the highest score counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.digests import digest
from vidscan.errors import InputError, NoFaceError, SetupError
from vidscan.evaluation.face_parts import FACE_PARTS, part_grid
from vidscan.evaluation.heatmap_plots import plot_maps, plot_parts
from vidscan.evaluation.scanning import Scanning, Scored
from vidscan.evaluation.statistics import Mean, Sample, mean_of
from vidscan.evaluation.tables import forged_groups
from vidscan.faces.align import CropSpec, to_frame
from vidscan.machine import default_jobs
from vidscan.models import load_registry
from vidscan.outputs import Replacement
from vidscan.patches.pooling import within
from vidscan.report.pyplot import load_pyplot
from vidscan.training.derive import derive_all, derived_name
from vidscan.training.reading import Reading
from vidscan.types import CellGrid, FrameMaps, ModelRef, VideoInfo


@dataclass(frozen=True, slots=True)
class PartShares:
    """The clips of one method, or of several."""

    name: str
    clips: int
    """Those in which a face was found."""
    people: int
    """In these clips; the intervals draw them, and those of one person alone have no width."""
    shares: dict[str, Mean]
    """By part: share of a clip's crops whose most telling patch lies there, mean over clips."""


@dataclass(frozen=True, slots=True)
class Heatmaps:
    """Where clips look manipulated, genuine ones first, then forged ones by family and method."""

    area: dict[str, float]
    """By part: share of the patches that could be the most telling one. Chance would give these."""
    rows: tuple[PartShares, ...]


@dataclass(frozen=True, slots=True)
class ClipMap:
    """One clip's track with the highest score.

    Attributes
    ----------
    mean
        (h, w) mean probability of each patch over the track's crops.
    votes
        (h, w) share of the crops whose most telling patch this is; sums to 1.
    grid
        Which crop pixels the patches belong to; None where they cover the crop from edge to edge.
    """

    mean: NDArray[np.float64]
    votes: NDArray[np.float64]
    grid: CellGrid | None = None


class MapSink:
    """A mask sink that adds up patch maps by track and writes nothing.

    Parameters
    ----------
    radius
        Of the model's pooling: only patches within it can be the most telling one; None counts all.
    """

    def __init__(self, radius: float | None) -> None:
        self._radius = radius
        self._sums: dict[int, NDArray[np.float64]] = {}
        self._votes: dict[int, NDArray[np.float64]] = {}
        self._grid: CellGrid | None = None

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """One of these is for one clip."""

    def write(self, frame: FrameMaps) -> str | None:
        """Takes an analyzed frame; those in which faces were only followed are passed over."""
        if frame.interpolated:
            return None
        for region in frame.faces:
            cells = region.probability
            if region.track_id not in self._sums:
                self._sums[region.track_id] = np.zeros(cells.shape)
                self._votes[region.track_id] = np.zeros(cells.shape)
            self._sums[region.track_id] += cells
            allowed = eligible(cells.shape[0], cells.shape[1], self._radius)
            self._votes[region.track_id].flat[np.where(allowed, cells, -1).argmax()] += 1
            self._grid = region.grid
        return None

    def close(self, models: Sequence[ModelRef]) -> None:
        """The maps are complete."""

    def clip_map(self, track_id: int) -> ClipMap | None:
        """What one track adds up to; None where none of its frames was taken."""
        if track_id not in self._sums:
            return None
        crops = self._votes[track_id].sum()
        return ClipMap(self._sums[track_id] / crops, self._votes[track_id] / crops, self._grid)


def eligible(height: int, width: int, radius: float | None) -> NDArray[np.bool_]:
    """(h, w) patches that the pooled score looks at."""
    return np.ones((height, width), bool) if radius is None else within(height, width, radius).numpy()


def read_clip(task: Reading) -> None:
    """Scan a clip and keep its :class:`ClipMap` as ``task.target``.

    Raises InputError where it cannot be scanned, NoFaceError where it shows no face.
    """
    scanner = task.scanner
    sink = MapSink(scanner.classifier.radius)
    report = scanner.scan(task.source, masks=sink)
    if report.error is not None:
        raise InputError(f"{report.error.code}: {report.error.message}")
    tracks = sorted(report.tracks, key=lambda track: -(track.score or 0.0))
    found = next((own for track in tracks if (own := sink.clip_map(track.track_id)) is not None), None)
    if found is None:
        raise NoFaceError(f"{task.source}: no face found")
    grid = [] if found.grid is None else [found.grid.stride, found.grid.offset]
    with Replacement(task.target) as part, part.open() as file:
        np.savez_compressed(file, mean=found.mean, votes=found.votes, grid=np.array(grid, np.float64))


def load_map(path: Path) -> ClipMap:
    """What :func:`read_clip` kept."""
    with np.load(path, allow_pickle=False) as data:
        grid = CellGrid(*data["grid"].tolist()) if len(data["grid"]) else None
        return ClipMap(data["mean"], data["votes"], grid)


def heatmaps(
    corpus: Path,
    scored: Sequence[Scored],
    out: Path,
    how: Scanning,
    stage: Callable[[str, int], Callable[[], None]],
) -> Heatmaps:
    """Scan, tabulate, and draw ``heatmaps.png`` and ``face_parts.png`` into ``out``.

    Maps of clips are kept in ``out/heatmaps`` by content, model and settings. ``stage`` is called with
    what comes next and of how many files, and returns what to call after each.

    Raises
    ------
    SetupError
        Where matplotlib is missing, or no clip shows a face.
    """
    load_pyplot()  # before hours of scanning, not after
    record = load_registry().get("patches", how.settings.patch_model)
    settings = replace(how.settings, behavior_fps=0.0, encoder_fps=0.0)  # maps of the patch classifier
    identity = digest([record.name, record.sha256, asdict(settings)])
    tasks = {}
    for clip in scored:
        source = corpus / clip.entry.file
        target = (out / "heatmaps" / derived_name(source, identity)).with_suffix(".npz")
        tasks[clip.entry.file] = Reading(source, target, settings, how.device)
    on_gpu = how.device != "cpu" and torch.cuda.is_available()
    jobs = how.jobs or default_jobs("cuda" if on_gpu else "cpu")
    advance = stage("mapping clips", len(tasks))
    failures = derive_all(read_clip, list(tasks.values()), jobs=jobs, advance=advance)
    maps = {file: load_map(task.target) for file, task in tasks.items() if task.target not in failures}
    if not maps:
        raise SetupError("heatmaps: no clip shows a face")
    crop = record.settings["crop"]
    spec = CropSpec(size=crop["size"], margin=crop["margin"])
    groups = group(scored, maps)
    found = tabulate(groups, maps, spec, record.settings.get("radius"))
    grid = next(iter(maps.values())).grid
    still, frame = np.eye(2, 3), (spec.size, spec.size)
    means = {
        name: to_frame(
            np.mean([maps[clip.entry.file].mean for clip in clips], axis=0), still, spec.size, frame, grid
        )[0]
        for name, clips in groups.items()
    }
    plot_maps(means, {name: len(clips) for name, clips in groups.items()}, spec, out / "heatmaps.png")
    plot_parts(
        {"by area": found.area} | {r.name: {k: m.value for k, m in r.shares.items()} for r in found.rows},
        out / "face_parts.png",
    )
    return found


def group(scored: Sequence[Scored], maps: dict[str, ClipMap]) -> dict[str, list[Scored]]:
    """Clips that have a map: the genuine ones, all forged ones, then these by family and by method."""
    known = [clip for clip in scored if clip.entry.file in maps]
    forged = [clip for clip in known if not clip.entry.genuine]
    groups = {"genuine": [clip for clip in known if clip.entry.genuine], "all forged": forged}
    return {name: clips for name, clips in (groups | forged_groups(forged)).items() if clips}


def tabulate(
    groups: dict[str, list[Scored]],
    maps: dict[str, ClipMap],
    spec: CropSpec,
    radius: float | None,
    seed: int = 0,
) -> Heatmaps:
    """Shares by part of each group, every clip counting once; intervals draw people.

    ``maps`` are by the manifest's file, all of one grid over a crop of ``spec``.
    """
    rng = np.random.default_rng(seed)
    first = next(iter(maps.values()))
    height, width = first.votes.shape
    parts = part_grid(spec, height, width, first.grid)
    allowed = eligible(height, width, radius)
    rows = []
    for name, clips in groups.items():
        people = [clip.entry.identity for clip in clips]
        shares = {}
        for number, part in enumerate(FACE_PARTS):
            values = np.array([float(maps[clip.entry.file].votes[parts == number].sum()) for clip in clips])
            shares[part] = mean_of(Sample(values, people), rng)
        rows.append(PartShares(name, len(clips), len(set(people)), shares))
    area = {part: float((parts[allowed] == number).mean()) for number, part in enumerate(FACE_PARTS)}
    return Heatmaps(area, tuple(rows))


def table(found: Heatmaps) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a Markdown table."""
    rows = [["by area", "", "", *(f"{found.area[part]:.0%}" for part in FACE_PARTS)]]
    for row in found.rows:
        cells = [
            f"{m.value:.0%} ({m.interval[0]:.0%} to {m.interval[1]:.0%})"
            for m in (row.shares[part] for part in FACE_PARTS)
        ]
        rows.append([row.name, str(row.clips), str(row.people), *cells])
    return ["most telling patch on", "clips", "people", *FACE_PARTS], rows
