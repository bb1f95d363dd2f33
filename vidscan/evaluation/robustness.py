"""What re-encoding, shrinking, blurring, noise and filming a screen cost: the same clips before and after.

The clips are all those of the same-footage pairs and the genuine ones of a list. Treatments are applied to
each frame, which is then encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.digests import hashed
from vidscan.errors import SetupError
from vidscan.evaluation.filmed_screen import FilmedScreen
from vidscan.evaluation.scanning import Scanning, Scored, sample, scan_derived
from vidscan.evaluation.statistics import (
    Interval,
    Rate,
    Sample,
    auc_interval,
    loss_interval,
    rate,
)
from vidscan.evaluation.tables import FALSE_ALARMS, flags, same_footage
from vidscan.evaluation.text import share, span, with_span
from vidscan.markdown import table
from vidscan.training.degrade import jpeg
from vidscan.training.derive import derive_all, derived_name, rewrite
from vidscan.training.transfer import auc

CLEAN = "clean"
_CRF = 18
Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Loss:
    """An area under the ROC curve, and what the treatment took from it."""

    auc: float
    interval: Interval
    lost: float
    """Area of the clean clips less that of the treated ones; 0 in the clean row."""
    lost_interval: Interval
    """Paired bootstrap over people."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """One treatment; the first row, ``clean``, has none."""

    name: str
    pairs: Loss
    """Forged clips of the same-footage pairs against their originals."""
    listed: Loss
    """The same forged clips against the genuine clips of the list."""
    false_alarms: Rate
    """Genuine clips of the list."""
    faceless: int
    """Clips of all three groups in which no face was found."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """One clip to be treated."""

    source: Path
    target: Path
    name: str


Step = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Takes and returns one frame, (H, W, 3) RGB uint8."""
Make = Callable[[np.random.Generator], Step]
"""The step of one clip: what is drawn once holds for all of its frames."""


def _unchanged(rng: np.random.Generator) -> Step:
    return lambda image: image


def _half(rng: np.random.Generator) -> Step:
    def step(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = image.shape[:2]
        size = (max(2, width // 4 * 2), max(2, height // 4 * 2))  # even, for the encoder
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    return step


def _blurred(rng: np.random.Generator, *, sigma: float) -> Step:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _noisy(rng: np.random.Generator, *, sigma: float) -> Step:
    def step(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        noise = sigma * rng.standard_normal(image.shape, np.float32)
        return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)

    return step


def _jpeg(rng: np.random.Generator, *, quality: int) -> Step:
    return lambda image: jpeg(image, quality, "opencv")


TREATMENTS: dict[str, tuple[Make, float]] = {
    "crf 35": (_unchanged, 35),
    "crf 40": (_unchanged, 40),
    "half size": (_half, _CRF),
    "blur 1": (partial(_blurred, sigma=1), _CRF),
    "blur 2": (partial(_blurred, sigma=2), _CRF),
    "noise 3": (partial(_noisy, sigma=3), _CRF),
    "JPEG 50": (partial(_jpeg, quality=50), _CRF),
    "filmed screen": (FilmedScreen, 23),
}
"""What is done to each frame, and the crf of the encode; sigmas in pixels and gray levels."""


def treat(treatment: Treatment) -> None:
    """Write the treated clip."""
    make, crf = TREATMENTS[treatment.name]
    step = make(np.random.default_rng(hashed(treatment.target.name)))
    rewrite(treatment.source, treatment.target, lambda image, _: step(image), crf=crf)


def robustness(
    corpus: Path,
    scored: Sequence[Scored],
    listed: Sequence[str],
    out: Path,
    how: Scanning,
    stage: Callable[[str, int], Advance],
) -> tuple[Robustness, ...]:
    """Treat, scan and tabulate.

    Parameters
    ----------
    scored
        The split's clips as they are.
    listed
        Files of the genuine clips that treated ones are compared with.
    out
        Treated clips go to ``derived/robustness`` in it.
    stage
        Called with what comes next and of how many files; returns what to call after each.

    Raises
    ------
    SetupError
        Where the split has no same-footage pairs.
    """
    pairs = same_footage(scored)
    if pairs is None:
        raise SetupError("robustness needs pairs of the same footage, and this split has none")
    chosen = {s.entry.file: s for s in (*pairs[0], *pairs[1])}
    chosen |= {s.entry.file: s for s in scored if s.entry.file in set(listed)}
    folder = out / "derived" / "robustness"
    tasks = {
        (file, name): Treatment(corpus / file, folder / derived_name(corpus / file, name), name)
        for file in chosen
        for name in TREATMENTS
    }
    advance = stage("treating clips", len(tasks))
    failures = derive_all(treat, list(tasks.values()), jobs=how.jobs, advance=advance)
    outcomes = scan_derived(
        [task.target for task in tasks.values()],
        failures,
        out / "robustness.jsonl",
        how,
        stage("scanning treated clips", len(tasks)),
    )
    treated = {
        name: [Scored.of(s.entry, outcomes[tasks[file, name].target]) for file, s in chosen.items()]
        for name in TREATMENTS
    }
    return tabulate(list(chosen.values()), treated, listed)


def tabulate(
    clean: Sequence[Scored], treated: dict[str, list[Scored]], listed: Sequence[str], seed: int = 0
) -> tuple[Robustness, ...]:
    """The rows, ``clean`` first; every treatment has the clips of ``clean``."""
    rng = np.random.default_rng(seed)
    return tuple(
        _row(name, clean, clips, listed, rng) for name, clips in ({CLEAN: [*clean]} | treated).items()
    )


def _row(
    name: str,
    clean: Sequence[Scored],
    treated: Sequence[Scored],
    listed: Sequence[str],
    rng: np.random.Generator,
) -> Robustness:
    before, after = _sides(clean, listed), _sides(treated, listed)
    return Robustness(
        name=name,
        pairs=_loss((before[0], before[1]), (after[0], after[1]), rng),
        listed=_loss((before[2], before[1]), (after[2], after[1]), rng),
        false_alarms=rate(FALSE_ALARMS, flags(after[2])),
        faceless=sum(s.label == "no_face" for s in treated),
    )


def _sides(clips: Sequence[Scored], listed: Sequence[str]) -> tuple[list[Scored], list[Scored], list[Scored]]:
    """Originals, their forged twins, and the genuine clips of the list."""
    pairs = same_footage(clips)
    assert pairs is not None  # :func:`robustness` has looked
    by_file = {s.entry.file: s for s in clips}
    return *pairs, [by_file[file] for file in listed]


def _loss(
    clean: tuple[list[Scored], list[Scored]],
    treated: tuple[list[Scored], list[Scored]],
    rng: np.random.Generator,
) -> Loss:
    before: tuple[Sample, Sample] = (sample(clean[0]), sample(clean[1]))
    after: tuple[Sample, Sample] = (sample(treated[0]), sample(treated[1]))
    area = auc(after[0].values, after[1].values)
    return Loss(
        auc=area,
        interval=auc_interval(after[0], [after[1]], rng),
        lost=auc(before[0].values, before[1].values) - area,
        lost_interval=loss_interval(before, after, rng),
    )


def markdown(rows: Sequence[Robustness]) -> list[str]:
    """Lines of the table."""

    def loss(name: str, own: Loss) -> list[str]:
        lost = "" if name == CLEAN else f"{own.lost:+.3f} ({span(own.lost_interval)})"
        return [with_span(own.auc, own.interval), lost]

    heads = ("clips are", "AUC same footage", "lost", "AUC vs listed", "lost", "false alarms", "no face")
    lines = []
    for row in rows:
        rate, interval = share(row.false_alarms)
        cells = [row.name, *loss(row.name, row.pairs), *loss(row.name, row.listed)]
        lines.append([*cells, f"{rate} ({interval})", str(row.faceless)])
    return table(heads, lines)
