"""Fingerprints of generators: the spectrum that each leaves in its pictures, compared with known ones.

F. Marra, D. Gragnaniello, L. Verdoliva, G. Poggi, *Do GANs Leave Artificial Fingerprints?*, MIPR 2019. There
the mean noise residual of many pictures of one size is the fingerprint. Faces of clips have no common place
or size, so here it is the mean spectrum of the residual, which no shift changes.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.base import Finding, insufficient, looked
from vidscan.forensics.material import Material
from vidscan.forensics.spectrum import SIDE, detrended, material_spectrum
from vidscan.models import load_registry

KIND = "fingerprints"
"""Of the registry record: ``prints`` (G, 2048), unit vectors, and ``genuine`` (2048,), the mean of genuine
clips; its settings name the ``generators`` and the ``levels`` of correlation that genuine clips reach."""


class Fingerprint:
    """Correlates the spectrum of the faces with those of generators that are known."""

    name = "generator_fingerprint"
    title = "Fingerprints of known generators"
    source = "F. Marra et al.: Do GANs Leave Artificial Fingerprints? MIPR 2019"

    def examine(self, material: Material) -> Finding:
        """The score is the share of genuine clips that resemble their nearest generator less."""
        spectrum = material_spectrum(material)
        if spectrum is None:
            return insufficient(self, "too_small", f"No face or frame holds enough tiles of {SIDE} pixels.")
        known = _known()
        correlation = known.prints @ unit(vector(spectrum) - known.genuine)
        nearest = int(correlation.argmax())
        rank = float(np.interp(correlation[nearest], known.levels, np.linspace(0, 1, len(known.levels))))
        score = max(0.0, 2 * rank - 1)
        message = (
            f"Nearest of {len(known.generators)} known generators is {known.generators[nearest]}, and "
            f"{100 * rank:.0f} % of genuine clips resemble their nearest one less. "
            + ("It is a hint at most." if rank > 0.95 else "That says nothing.")
        )
        return looked(self, message, score)


class _Known:
    def __init__(self) -> None:
        record = load_registry().get(KIND)
        tensors = record.load()
        self.prints: NDArray[np.float32] = tensors["prints"].numpy()
        self.genuine: NDArray[np.float32] = tensors["genuine"].numpy()
        self.generators: list[str] = record.settings["generators"]
        self.levels: list[float] = record.settings["levels"]


_known = functools.cache(_Known)


def vector(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2048,) the half of a detrended spectrum that tells all of it."""
    return detrended(spectrum)[: SIDE // 2].ravel()


def unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``values`` of mean 0 and length 1."""
    centred = values - values.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-9)
