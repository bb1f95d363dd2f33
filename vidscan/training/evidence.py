"""The evidence of corpus clips, gathered once by the scanning pipeline and kept on disk.

A verdict can then be fitted, compared and judged again in seconds: only a change of the networks that read
the clips makes them be read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import TypeAdapter

from vidscan.digests import digest
from vidscan.machine import default_jobs
from vidscan.model_choice import chosen_models
from vidscan.models import file_sha256, load_registry
from vidscan.outputs import write_text
from vidscan.training.derive import derive_all
from vidscan.training.reading import Reading
from vidscan.training.unseen import KIND
from vidscan.types import ScanSettings, Track

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
    parts: Mapping[str, int] = MappingProxyType({}),
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
    parts
        By file, the part of train that the encoder's heads shall not have seen
        (:func:`vidscan.training.unseen.parts_unseen`); the shipped heads read all others.
    """
    settings = settings or ScanSettings()
    keys: dict[int | None, str] = {None: models_key(settings)}
    if parts:
        heads = load_registry().get(KIND).sha256
        keys |= {part: digest([keys[None], heads, part]) for part in set(parts.values())}
    tasks = {}
    # One part after the other: another needs another encoder.
    for file in sorted(files, key=lambda file: parts.get(file, -1)):
        source, part = root / file, parts.get(file)
        target = folder / f"{file_sha256(source)[:24]}-{keys[part]}.json"
        tasks[file] = Reading(source, target, settings, device, part)
    failures = derive_all(_gather, list(tasks.values()), jobs=jobs or default_jobs(device), advance=advance)
    return {
        file: ClipEvidence(file, *_load(task.target))
        for file, task in tasks.items()
        if task.target not in failures
    }


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
