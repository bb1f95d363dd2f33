"""The groups of evidence: one record each, from which everything else takes what it needs.

A new kind of evidence is a record here and the code that measures it: a function of a window's analyzed
faces (``measure``), or an entry of :data:`vidscan.behavior.windows.DESCRIBERS`. The vector, the reasons, the
reports, training and evaluation follow from the record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from vidscan.behavior import action_units, blink, correlation, flicker, gaze, head_pose
from vidscan.types import FaceEvidence
from vidscan.verdict import encoder_features, patch_features
from vidscan.verdict.standardiser import Column, Sided

_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class Derived:
    """A feature that is made of measured ones of its group: how, in words and as a function."""

    meaning: str
    make: Callable[[Mapping[str, float]], float]


@dataclass(frozen=True, slots=True)
class Wording:
    """How a judged feature is told to people.

    Attributes
    ----------
    text
        A sentence with ``{}`` for the number.
    usual
        After "genuine people"; ``{}`` and ``{}`` for the least and the most.
    number
        From the feature to what is told; increasing or decreasing.
    low, high
        What the number cannot exceed, however far genuine people are thought to spread.
    """

    text: str
    usual: str = "{} to {}"
    number: Callable[[float], float] = float
    low: float = 0.0
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Group:
    """One kind of evidence.

    Attributes
    ----------
    name
        In reports, records and code.
    title
        In tables for people.
    codes
        Of its reason where the label is ``manipulated``, and where it is not.
    unusual
        The sentence of that reason.
    features
        What is measured of a window: unit and meaning by name.
    judged
        What a newly fitted verdict judges it by, measured or derived, each with the side on which forgeries
        lie.
    weight
        How much the group counts in a newly fitted verdict. With sources left out the patch classifier adds a
        little to the encoder at most (docs/experiments.md); behavior is kept light beside both.
    limit
        Standard deviations that one feature may count there.
    derived
        Features that are made of measured ones, by name.
    wordings
        Of judged features, by name; one without a wording is not told in numbers.
    measure
        Measures ``features`` of a window's analyzed faces in time order, None where they are too few. Groups
        without it are measured while the clip streams by (:mod:`vidscan.behavior.windows`).
    """

    name: str
    title: str
    codes: tuple[str, str]
    unusual: str
    features: Mapping[str, str]
    judged: Mapping[str, Sided]
    weight: float
    limit: float = 1.0
    derived: Mapping[str, Derived] = field(default_factory=dict)
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    measure: Callable[[list[FaceEvidence]], dict[str, float] | None] | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is judged, as columns of the evidence vector."""
        return tuple(Column(name, self.name, sided) for name, sided in self.judged.items())


def _log_of(name: str) -> Derived:
    return Derived(f"log of {name}", lambda measured: float(np.log(measured[name] + _LEAST)))


def _stillness(units: Mapping[str, float]) -> float:
    spreads = [value for name, value in units.items() if name.endswith("_spread")]
    return -float(np.mean(np.log(np.array(spreads) + _LEAST)))


GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        Group(
            name="patch",
            title="Texture of the face",
            codes=("patches_manipulated", "patches_suspicious"),
            unusual="local texture looks manipulated",
            features=patch_features.FEATURES,
            # Generators draw the mouth worst and the brow best.
            judged={"patch_statistic": "one", "patch_mouth_level": "one", "patch_contrast": "one"},
            weight=0.6,
            # Texture may convict alone; calm, or one odd measure of behavior, must not.
            limit=10.0,
            measure=patch_features.describe,
        ),
        Group(
            name="encoder",
            title="How the picture of the face was made",
            codes=("encoder_manipulated", "encoder_suspicious"),
            unusual="the picture of the face looks generated or altered",
            features=encoder_features.FEATURES,
            judged={"encoder_statistic": "one"},
            weight=2.0,
            limit=10.0,
            wordings={
                "encoder_statistic": Wording(
                    "it is {} standard deviations more like a forgery than a typical genuine face",
                    "are {} to {}",
                    low=-math.inf,
                )
            },
            measure=encoder_features.describe,
        ),
        Group(
            name="flicker",
            title="Change of texture through time",
            codes=("flicker_unusual", "flicker_unusual"),
            unusual="the face flickers unlike its surroundings",
            features=flicker.FEATURES,
            judged={"flicker_blue_coarse": "one"},
            weight=0.3,
            wordings={
                "flicker_blue_coarse": Wording(
                    "color trembles {} times as strongly in the face as around it", number=math.exp
                )
            },
        ),
        Group(
            name="blink",
            title="Blinking",
            codes=("blinking_unusual", "blinking_unusual"),
            unusual="blinking is unlike genuine people's",
            features=blink.FEATURES,
            judged={"blink_longest_pause": "one"},
            weight=0.2,
            wordings={"blink_longest_pause": Wording("{} s pass without a blink", "{} to {} s")},
        ),
        # Generators smooth motion: the head's inner and outer pose, the two eyes and the expression vary less
        # than a person's.
        Group(
            name="head_pose",
            title="Head pose",
            codes=("head_pose_inconsistent", "head_pose_inconsistent"),
            unusual="inner face and outline of the head do not agree in pose as genuine ones do",
            features=head_pose.FEATURES,
            judged={"head_pose_wander_log": "low"},
            weight=0.25,
            derived={"head_pose_wander_log": _log_of("head_pose_wander")},
            wordings={
                "head_pose_wander_log": Wording(
                    "the inner face drifts by {} degrees against the outline of the head",
                    "{} to {} degrees",
                    number=math.exp,
                )
            },
        ),
        Group(
            name="gaze",
            title="Gaze",
            codes=("gaze_incoherent", "gaze_incoherent"),
            unusual="eyes and head do not move together as genuine ones do",
            features=gaze.FEATURES,
            judged={"gaze_vergence_log": "low"},
            weight=0.25,
            derived={"gaze_vergence_log": _log_of("gaze_vergence_spread")},
            wordings={
                "gaze_vergence_log": Wording(
                    "the angle between the two eyes' directions varies by {} degrees",
                    "{} to {} degrees",
                    number=math.exp,
                )
            },
        ),
        Group(
            name="action_units",
            title="Movement of the face",
            codes=("expression_unusual", "expression_unusual"),
            unusual="expression moves unlike genuine people's",
            features=action_units.FEATURES,
            judged={"expression_stillness": "one"},
            weight=0.25,
            derived={
                "expression_stillness": Derived(
                    "minus the mean log spread of the action units' intensities over the window", _stillness
                )
            },
            wordings={
                "expression_stillness": Wording(
                    "facial muscles vary by {} on a scale from 0 to 5",
                    number=lambda v: math.exp(-v),
                    high=5.0,
                )
            },
        ),
        Group(
            name="correlation",
            title="How movements of the face go together",
            codes=("expression_correlation_unusual", "expression_correlation_unusual"),
            unusual="facial movements go together unlike genuine people's",
            features=correlation.FEATURES,
            judged={"correlation_smile": "low"},
            weight=0.1,
            wordings={
                "correlation_smile": Wording(
                    "smiling and widening of the mouth correlate at {} (1: always together)",
                    low=-1.0,
                    high=1.0,
                )
            },
        ),
    )
}
"""Every group by name, in the order in which reports list them."""

COLUMNS: tuple[Column, ...] = tuple(column for group in GROUPS.values() for column in group.columns)
"""What a newly fitted verdict judges, in the order of its vector; one that was fitted brings its own columns.
Everything else that is measured is reported and not judged."""

GROUP_OF: dict[str, str] = {
    feature: group.name for group in GROUPS.values() for feature in (*group.features, *group.derived)
}
"""The group of every feature that a verdict can judge."""
