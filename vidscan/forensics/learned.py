"""Instruments that learned from the corpus: one window per face, features, one classifier each."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidscan.errors import WeightsError
from vidscan.forensics import cooccurrence, pixel_pairs, srm, upsampling
from vidscan.forensics.base import Finding, insufficient, looked
from vidscan.forensics.material import Material, area, once
from vidscan.forensics.networks import NETWORKS
from vidscan.forensics.neurons import Neurons, aligned
from vidscan.forensics.windows import SIDE, face_window, scene_window
from vidscan.models import ModelRecord, load_registry, weights_folder, with_weights

Pictures = list[NDArray[np.uint8]]

KIND = "forensic_windows"
"""Of the registry record: the tensors of each classifier under its name."""

FEATURES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]] = {
    "srm": srm.features,
    "cooccurrence": cooccurrence.features,
    "pixel_pairs": pixel_pairs.features,
    "upsampling": upsampling.features,
}
"""Of windows (N, 128, 128, 3), each with a linear head."""
NEURONS = "neurons"
"""Reads aligned crops instead, with a linear head as well."""


class WindowClassifiers:
    """The classifiers of a registry record.

    Raises
    ------
    WeightsError
        Where the record or its weights are not usable.
    """

    def __init__(self, record: ModelRecord) -> None:
        self._tensors = record.load()
        self._scorers: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float64]]] = {}
        self.record = record
        self.judged: dict[str, Any] = record.settings.get("judged", {})

    def _scorer(self, name: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in self._tensors.items() if k.startswith(prefix)}
        try:
            if name in NETWORKS:
                network = with_weights(NETWORKS[name], own)
                return lambda windows: network_log_odds(network, windows)
            weight, bias = own["weight"].double().numpy(), float(own["bias"])
            made: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
            if name == NEURONS:
                made = Neurons(load_registry().get("landmarks"), own["threshold"]).features
            else:
                made = FEATURES[name]
        except (KeyError, RuntimeError) as error:
            raise WeightsError(f"the weights of {self.record.name} do not fit {name}: {error}") from error
        return lambda windows: made(windows).astype(np.float64) @ weight + bias

    def log_odds(self, name: str, windows: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(N,) log-odds that (N, S, S, 3) uint8 windows, for the neurons aligned crops, are manipulated."""
        if name not in self._scorers:
            self._scorers[name] = self._scorer(name)
        return self._scorers[name](windows)

    def rank(self, name: str, log_odds: float) -> float:
        """Share, 0..1, of the genuine faces of unseen sources that are less conspicuous."""
        levels = self.judged[name]["genuine"]
        return float(np.interp(log_odds, levels, np.linspace(0, 1, len(levels))))


@torch.inference_mode()
def network_log_odds(network: nn.Module, windows: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,) log-odds of (N, S, S, 3) uint8 windows."""
    network.eval()
    pictures = torch.from_numpy(np.ascontiguousarray(windows)).permute(0, 3, 1, 2)
    parts: list[Tensor] = [network(part.float()) for part in pictures.split(32)]
    return torch.cat(parts).double().numpy()


@lru_cache(maxsize=1)
def _classifiers(folder: Path) -> WindowClassifiers:
    return WindowClassifiers(load_registry(folder).get(KIND))


@once
def _windows(material: Material) -> tuple[Pictures, Pictures]:
    """Windows (128, 128, 3) of each frame's largest face, and of the scene beside its faces."""
    faces, scenes = [], []
    for frame in material.frames:
        if not frame.faces:
            continue
        if (face := face_window(frame.image, max(frame.faces, key=area))) is not None:
            faces.append(face)
        if (scene := scene_window(frame.image, frame.faces)) is not None:
            scenes.append(scene)
    return faces, scenes


def _crops(material: Material) -> tuple[Pictures, Pictures]:
    """Aligned crops (112, 112, 3) of each frame's largest face; the scene has none."""
    seen = [frame for frame in material.frames if frame.faces]
    return [aligned(frame.image, np.array(max(frame.faces, key=area))) for frame in seen], []


class WindowInstrument:
    """The face of up to six frames, judged by one classifier; the scene beside it is the control."""

    name: str
    title: str
    source: str

    def examine(self, material: Material) -> Finding:
        classifiers = _classifiers(weights_folder())
        if not any(frame.faces for frame in material.frames):
            return insufficient(self, "no_face", "No face is known in the frames that were looked at.")
        faces, scenes = (_crops if self.name == NEURONS else _windows)(material)
        if not faces:
            return insufficient(self, "too_small", f"The frame is smaller than {SIDE} pixels.")
        found = float(np.median(classifiers.log_odds(self.name, np.stack(faces))))
        rank = classifiers.rank(self.name, found)
        control = None
        if scenes:
            control = classifiers.rank(
                self.name, float(np.median(classifiers.log_odds(self.name, np.stack(scenes))))
            )
        message = _message(rank, control, classifiers.judged[self.name]["auc"])
        return looked(self, message, 1 / (1 + float(np.exp(-np.clip(found, -50, 50)))))


def _message(rank: float, control: float | None, auc: float) -> str:
    text = f"More conspicuous than {rank:.0%} of genuine faces from sources it had not seen."
    if control is not None and rank > 0.9 and control > 0.9:
        text += " So is the scene beside the face: the encode, not the face, may be what it sees."
    return f"{text} Its area under the curve on unseen sources is {auc:.2f}; .5 is chance."


class Srm(WindowInstrument):
    """Rich-model statistics of the face."""

    name = "srm"
    title = "Residual statistics (rich model)"
    source = "Fridrich & Kodovsky, Rich Models for Steganalysis of Digital Images, 2012"


class Cooccurrence(WindowInstrument):
    """Residual co-occurrence of the face."""

    name = "cooccurrence"
    title = "Residual co-occurrence"
    source = (
        "Cozzolino et al., Recasting Residual-based Local Descriptors as Convolutional Neural Networks, 2017"
    )


class PixelPairs(WindowInstrument):
    """Pixel co-occurrence of the face."""

    name = "pixel_pairs"
    title = "Pixel co-occurrence by color channel"
    source = "Nataraj et al., Detecting GAN generated Fake Images using Co-occurrence Matrices, 2019"


class Upsampling(WindowInstrument):
    """Spectrum of the face."""

    name = "upsampling"
    title = "Spectrum of up-sampling"
    source = "Zhang, Karaman & Chang, Detecting and Simulating Artifacts in GAN Fake Images, 2019"


class ConstrainedConvolution(WindowInstrument):
    """A network with constrained first filters."""

    name = "constrained_convolution"
    title = "Constrained convolution"
    source = "Bayar & Stamm, A Deep Learning Approach to Universal Image Manipulation Detection, 2016"


class PooledStatistics(WindowInstrument):
    """A network that pools statistics."""

    name = "pooled_statistics"
    title = "Pooled statistics"
    source = "Rahmouni et al., Distinguishing Computer Graphics from Natural Images, 2017"


class NeuronBehavior(WindowInstrument):
    """The landmark network's neurons."""

    name = "neurons"
    title = "Neuron behavior, layer by layer"
    source = (
        "Wang et al., FakeSpotter: A Simple yet Robust Baseline for Spotting AI-Synthesized Fake Faces, 2020"
    )
