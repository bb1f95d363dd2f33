"""The evidence of corpus clips, gathered once by the scanning pipeline and kept on disk.

A verdict can then be fitted, compared and judged again in seconds: only a change of the networks that read
the clips makes them be read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from vidscan.digests import digest
from vidscan.machine import default_jobs
from vidscan.model_choice import chosen_models
from vidscan.models import ModelRecord, file_sha256, load_registry
from vidscan.outputs import write_text
from vidscan.training.derive import derive_all
from vidscan.training.reading import Reading
from vidscan.types import FaceEvidence, ScanSettings, Track

_FORMAT = 2
_OF_VERDICT = frozenset({"verdict_model", "target_fpr", "uncertain_fpr"})
"""Settings of what is made of the evidence, not of how it is gathered."""


@dataclass(frozen=True, slots=True)
class ClipEvidence:
    """What was gathered from one clip."""

    file: str
    tracks: tuple[Track, ...]
    bits_per_pixel: float | None


def gather_all(
    root: Path,
    files: Sequence[str],
    folder: Path,
    *,
    jobs: int = 0,
    device: str = "cpu",
    settings: ScanSettings | None = None,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, ClipEvidence]:
    """Evidence of ``files`` under ``root``, from ``folder`` where it is there already.

    Clips that cannot be read are left out, with a warning.

    Parameters
    ----------
    folder
        Keeps a JSON file for each content, models and settings.
    jobs
        Worker processes; 0 as many as suit the machine, 1 works in this process.
    advance
        Called for each file.
    """
    settings = settings or ScanSettings()
    key = models_key(settings)
    tasks = {
        file: Reading(source, folder / f"{file_sha256(source)[:24]}-{key}.json", settings, device)
        for file, source in ((file, root / file) for file in files)
    }
    failures = derive_all(_gather, list(tasks.values()), jobs=jobs or default_jobs(device), advance=advance)
    return {
        file: ClipEvidence(file, *_load(task.target))
        for file, task in tasks.items()
        if task.target not in failures
    }


def as_unseen(clips: Sequence[ClipEvidence], encoder: ModelRecord | None) -> list[ClipEvidence]:
    """Genuine clips that the encoder's heads learned from, as if they had never seen their sources.

    Heads rate what they learned from as more genuine than they rate new people. What they say of the clips is
    moved and stretched so that its median and deviation are those of left-out genuine clips, which the
    encoder's record holds; without a record that does nothing changes.
    """
    left_out = {} if encoder is None else encoder.settings.get("left_out", {})
    known = [
        np.mean(v) for clip in clips if (v := [f.encoder for f in _faces(clip) if f.encoder is not None])
    ]
    deviation = float(np.std(known)) if known else 0.0
    if not left_out or deviation == 0:
        return list(clips)
    median, stretch = float(np.median(known)), left_out["deviation"] / deviation

    def moved(face: FaceEvidence) -> FaceEvidence:
        if face.encoder is None:
            return face
        return replace(face, encoder=left_out["median"] + stretch * (face.encoder - median))

    return [
        replace(clip, tracks=tuple(replace(t, faces=tuple(map(moved, t.faces))) for t in clip.tracks))
        for clip in clips
    ]


def _faces(clip: ClipEvidence) -> list[FaceEvidence]:
    return [face for track in clip.tracks for face in track.faces]


def _gather(task: Reading) -> None:
    """Gather one clip into its file; raises InputError where it cannot be read."""
    tracks, bits = task.scanner.gather(task.source)
    data = {"format": _FORMAT, "bits_per_pixel": bits, "tracks": [asdict(track) for track in tracks]}
    write_text(task.target, json.dumps(data))


def _load(path: Path) -> tuple[tuple[Track, ...], float | None]:
    data = json.loads(path.read_text(encoding="utf-8"))
    return TypeAdapter(tuple[Track, ...]).validate_python(data["tracks"]), data["bits_per_pixel"]


def models_key(settings: ScanSettings) -> str:
    """Short hash of what the evidence depends on: the reading networks and the settings, not the verdict."""
    records = chosen_models(load_registry(), settings)
    models = [record.sha256 for kind, record in records.items() if kind != "verdict"]
    values = {k: v for k, v in asdict(settings).items() if k not in _OF_VERDICT}
    values["every"] = 0  # a setting that there was: evidence read before it left stays valid
    return digest([_FORMAT, models, values])
