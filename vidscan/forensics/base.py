"""What an instrument of the shelf is given, what it answers, and which instruments there are.

To add one: write ``vidscan/forensics/NAME.py`` with a class that has the attributes of :class:`Instrument`,
and add a line to :data:`INSTRUMENTS`. Nothing here imports an instrument until it is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vidscan.types import ForensicFinding, SignalStatus, TimeMark

if TYPE_CHECKING:
    from vidscan.forensics.coded import Strip
    from vidscan.forensics.material import Material

INSTRUMENTS: dict[str, str] = {
    "generator_marks": "vidscan.forensics.marks:GeneratorMarks",
    "jpeg_dimples": "vidscan.forensics.dimples:Dimples",
    "double_compression": "vidscan.forensics.double:DoubleCompression",
    "jpeg_ghosts": "vidscan.forensics.ghosts:Ghosts",
    "former_groups": "vidscan.forensics.regroup:FormerGroups",
    "spectrum": "vidscan.forensics.spectrum:Spectrum",
    "generator_fingerprint": "vidscan.forensics.fingerprint:Fingerprint",
    "interlacing": "vidscan.forensics.interlacing:Interlacing",
    "repeated_frames": "vidscan.forensics.frames:RepeatedFrames",
    "missing_frames": "vidscan.forensics.frames:MissingFrames",
    "resampling": "vidscan.forensics.resampling:Resampling",
    "resampling_learned": "vidscan.forensics.resampling:LearnedResamplingMap",
    "noise": "vidscan.forensics.noise:NoiseConsistency",
    "srm": "vidscan.forensics.learned:Srm",
    "cooccurrence": "vidscan.forensics.learned:Cooccurrence",
    "pixel_pairs": "vidscan.forensics.learned:PixelPairs",
    "constrained_convolution": "vidscan.forensics.learned:ConstrainedConvolution",
    "pooled_statistics": "vidscan.forensics.learned:PooledStatistics",
    "neurons": "vidscan.forensics.learned:NeuronBehavior",
    "upsampling": "vidscan.forensics.learned:Upsampling",
}
"""``module:class`` of every instrument by its name, in the order in which they are reported."""
NO_STRIP = "Not a coded video."
"""Of ``not_applicable``: pictures, and files without coded frames."""


@dataclass(frozen=True, slots=True)
class Series:
    """One number that was measured over time."""

    title: str
    """What is measured, with its unit."""
    times: NDArray[np.float64]
    """(N,) seconds, ascending."""
    values: NDArray[np.float64]
    """(N,) finite."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one instrument says of one clip or picture.

    Raises
    ------
    ValueError
        Where the parts contradict each other: a score that is not in 0..1 or comes without the status
        ``ok``, a code with it, or a map out of range.
    """

    name: str
    """The instrument's key in :data:`INSTRUMENTS`."""
    title: str
    """The instrument for people, in a few words."""
    status: SignalStatus
    """``ok``; ``insufficient``: it could not tell, ``code`` says why; ``not_applicable``: it is not meant for
    this kind of file."""
    message: str
    """One or two sentences for a person: what was found, and what it does not prove."""
    source: str
    """The paper or standard: authors, title, year."""
    score: float | None = None
    """0 nothing of what the instrument looks for, 1 its plainest trace; no probability of a forgery. None
    where there is nothing to grade."""
    code: str | None = None
    """Of ``insufficient``: a stable word, such as ``too_small``."""
    map: NDArray[np.float32] | None = None
    """(h, w) 0..1, of any size, row 0 at the top: over the whole of the sampled frame at ``map_time_s``, 1
    where the trace is; or a picture of its own, such as a spectrum, where ``over_frame`` is False."""
    map_time_s: float = 0.0
    over_frame: bool = True
    series: Series | None = None
    marks: tuple[TimeMark, ...] = ()
    """Stretches of the clip that it points at, in time order."""

    def __post_init__(self) -> None:
        if self.score is not None and (self.status != "ok" or not 0 <= self.score <= 1):
            raise ValueError(f"{self.name}: score {self.score} with status {self.status}")
        if (self.code is None) == (self.status == "insufficient"):
            raise ValueError(f"{self.name}: code {self.code} with status {self.status}")
        if self.map is not None and not (self.map.min() >= 0 and self.map.max() <= 1):
            raise ValueError(f"{self.name}: the map is not in 0..1")

    def reported(self) -> ForensicFinding:
        """As the report holds it, without map and series."""
        return ForensicFinding(
            self.name, self.title, self.status, self.score, self.code, self.message, self.source, self.marks
        )


class Instrument(Protocol):
    """One instrument; made once, used for many clips."""

    name: str
    title: str
    source: str

    def examine(self, material: Material) -> Finding:
        """Look at one clip or picture.

        Bad material gives ``insufficient`` with a code, not an error. The same material gives the same
        finding.

        Raises
        ------
        InputError
            Where the file cannot be decoded.
        """
        ...


class StripInstrument(ABC):
    """An instrument that looks at the coded frames of a clip."""

    name: str
    title: str
    source: str
    least_frames: int
    """Fewer are ``too_short``."""

    def examine(self, material: Material) -> Finding:
        """Looks at the clip's frames (:meth:`examine_strip`) where there are enough of them."""
        strip = material.strip
        if strip is None:
            return not_applicable(self, NO_STRIP)
        if len(strip.times) < self.least_frames:
            return insufficient(self, "too_short", f"It has under {self.least_frames} frames.")
        return self.examine_strip(strip)

    @abstractmethod
    def examine_strip(self, strip: Strip) -> Finding:
        """What the frames show."""


def graded(value: float, none: float, plain: float) -> float:
    """A score: 0 up to ``none``, which chance and content reach, and 1 from ``plain`` on, beyond doubt."""
    return float(np.clip((value - none) / (plain - none), 0, 1))


def looked(instrument: Instrument, message: str, score: float, **shown: Any) -> Finding:
    """The finding of an instrument that could tell; ``shown`` are maps, series and marks of it."""
    return Finding(instrument.name, instrument.title, "ok", message, instrument.source, score, **shown)


def insufficient(instrument: Instrument, code: str, message: str) -> Finding:
    """The finding of an instrument that could not tell."""
    return Finding(instrument.name, instrument.title, "insufficient", message, instrument.source, code=code)


def not_applicable(instrument: Instrument, message: str) -> Finding:
    """The finding of an instrument that is not meant for this kind of file."""
    return Finding(instrument.name, instrument.title, "not_applicable", message, instrument.source)


def load_instrument(name: str) -> Instrument:
    """Make the instrument of this name; raises KeyError where there is none."""
    module, _, attribute = INSTRUMENTS[name].partition(":")
    made: Instrument = getattr(import_module(module), attribute)()
    return made
