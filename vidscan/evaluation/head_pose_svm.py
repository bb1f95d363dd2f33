"""The head-pose test as it was published, for comparison with the one-class verdict.

Yang, Li & Lyu, *Exposing Deep Fakes Using Inconsistent Head Poses* (ICASSP 2019): a support vector machine
with an RBF kernel on the differences of the two head poses in single frames, fitted on genuine and forged
clips, its output averaged over a clip. Unlike the verdict it learns from forged clips: those of the train
split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from vidscan.behavior.head_pose import paper_features
from vidscan.errors import SetupError
from vidscan.evaluation.scanning import Scanning
from vidscan.models import file_sha256
from vidscan.outputs import Replacement
from vidscan.spread import evenly
from vidscan.training.corpus import Entry
from vidscan.training.derive import derive_all
from vidscan.training.evidence import models_key
from vidscan.training.reading import Reading

NAME = "head pose, SVM of Yang et al."
FRAMES = 60
"""Frames of a clip, evenly spaced: neighbors say the same, and fitting takes time with their square."""


def keep_poses(task: Reading) -> None:
    """Write :func:`paper_features` of the face that is longest seen, (n, 12), where both poses are known.

    Raises InputError where the clip cannot be read.
    """
    tracks = task.scanner.series(task.source)
    rows = max((paper_features(track) for track in tracks), key=len, default=np.empty((0, 12)))
    rows = rows[np.isfinite(rows).all(1)]
    rows = rows[evenly(len(rows), FRAMES)]
    with Replacement(task.target) as part, part.open() as handle:
        np.save(handle, rows)


def head_pose_svm(
    corpus: Path,
    train: Sequence[Entry],
    judged: Sequence[Entry],
    folder: Path,
    how: Scanning,
    stage: Callable[[str, int], Callable[[], None]],
) -> dict[str, float]:
    """Fit on ``train``, and give every clip of ``judged`` the mean output over its frames, by file.

    Clips without a pose are left out. Poses are kept in ``folder`` by content, models and settings.

    Raises
    ------
    SetupError
        Where ``train`` lacks clips of one kind with a pose.
    """
    entries = [*train, *judged]
    key = models_key(how.settings)
    tasks = [
        Reading(source, folder / f"{file_sha256(source)[:24]}-{key}.npy", how.settings, how.device)
        for source in (corpus / entry.file for entry in entries)
    ]
    failures = derive_all(keep_poses, tasks, jobs=how.jobs, advance=stage("reading head poses", len(tasks)))
    poses = {
        entry.file: rows
        for entry, task in zip(entries, tasks, strict=True)
        if task.target not in failures and len(rows := np.load(task.target, allow_pickle=False))
    }
    machine = fit([(poses[e.file], e.genuine) for e in train if e.file in poses])
    return {e.file: machine(poses[e.file]) for e in judged if e.file in poses}


def fit(clips: Sequence[tuple[NDArray[np.float64], bool]]) -> Callable[[NDArray[np.float64]], float]:
    """Fit on clips (n, 12) and whether each is genuine; gives what scores a clip, higher is more forged.

    Raises SetupError where all are genuine, or none.
    """
    if len({genuine for _, genuine in clips}) < 2:
        raise SetupError(
            "the head-pose machine needs genuine and forged train clips in which a face is found"
        )
    rows = np.concatenate([own for own, _ in clips])
    labels = np.concatenate([np.full(len(own), not genuine) for own, genuine in clips])
    machine = make_pipeline(StandardScaler(), SVC(kernel="rbf", class_weight="balanced")).fit(rows, labels)
    return lambda own: float(machine.decision_function(own).mean())
