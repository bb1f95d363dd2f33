"""The evidence of corpus clips, gathered once by the scanning pipeline and kept on disk.

A verdict can then be fitted, compared and judged again in seconds: only a change of the networks that read
the clips makes them be read again.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from vidscan.batch.local import default_jobs
from vidscan.errors import InputError
from vidscan.models import file_sha256
from vidscan.types import BehaviorWindow, FaceEvidence, ScanSettings, Track

_LOG = logging.getLogger("vidscan")
_FORMAT = 2


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
    folder.mkdir(parents=True, exist_ok=True)
    key = models_key(settings)
    found: dict[str, ClipEvidence] = {}
    missing: list[tuple[str, Path]] = []
    for file in files:
        kept = folder / f"{file_sha256(root / file)[:24]}-{key}.json"
        if kept.exists():
            found[file] = ClipEvidence(file, *_load(kept))
            advance()
        else:
            missing.append((file, kept))
    jobs = min(jobs or default_jobs(device), len(missing))
    tasks = [(str(root / file), str(kept), settings, device) for file, kept in missing]
    if jobs <= 1:
        results = map(_gather, tasks)
        _collect(missing, results, found, advance)
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool:
            _collect(missing, pool.map(_gather, tasks), found, advance)
    return {file: found[file] for file in files if file in found}


def _collect(missing, results, found, advance) -> None:  # type: ignore[no-untyped-def]
    for (file, kept), problem in zip(missing, results, strict=True):
        if problem is None:
            found[file] = ClipEvidence(file, *_load(kept))
        else:
            _LOG.warning("%s left out: %s", file, problem)
        advance()


def _one_thread() -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


_SCANNERS: dict[str, object] = {}


def _gather(task: tuple[str, str, ScanSettings, str]) -> str | None:
    """Gather one clip into its file; what went wrong, or None."""
    from vidscan.scanner import Scanner

    path, kept, settings, device = task
    key = f"{settings}{device}"
    if key not in _SCANNERS:
        _SCANNERS[key] = Scanner(settings, device=device)
    scanner = _SCANNERS[key]
    assert isinstance(scanner, Scanner)
    try:
        tracks, bits = scanner.gather(path)
    except InputError as error:
        return f"{error.code}: {error}"
    data = {"format": _FORMAT, "bits_per_pixel": bits, "tracks": [asdict(track) for track in tracks]}
    part = Path(kept).with_suffix(".part")
    part.write_text(json.dumps(data), encoding="utf-8")
    part.replace(kept)
    return None


def _load(path: Path) -> tuple[tuple[Track, ...], float | None]:
    data = json.loads(path.read_text(encoding="utf-8"))
    tracks = [
        Track(
            **{
                **row,
                "faces": tuple(
                    FaceEvidence(**{**f, "box": tuple(f["box"]), "parts": tuple(f["parts"])})
                    for f in row["faces"]
                ),
                "behavior": tuple(BehaviorWindow(**w) for w in row["behavior"]),
            }
        )
        for row in data["tracks"]
    ]
    return tuple(tracks), data["bits_per_pixel"]


def models_key(settings: ScanSettings) -> str:
    """Short hash of what the evidence depends on: the reading networks and the settings, not the verdict."""
    import hashlib

    from vidscan.models import load_registry
    from vidscan.scanner import chosen_models

    records = chosen_models(load_registry(), settings)
    models = [record.sha256 for kind, record in records.items() if kind != "verdict"]
    values = {k: v for k, v in asdict(settings).items() if k != "verdict_model"}
    text = json.dumps([_FORMAT, models, values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
