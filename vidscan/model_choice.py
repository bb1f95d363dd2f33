"""Which of the registered models a scan uses."""

from __future__ import annotations

import math

from vidscan.behavior.eye_closure import RULES
from vidscan.errors import SetupError
from vidscan.models import ModelRecord, Registry
from vidscan.types import ScanSettings


def chosen_models(registry: Registry, settings: ScanSettings) -> dict[str, ModelRecord]:
    """The models that a scan with these settings uses, by their kind.

    Raises
    ------
    SetupError
        Where the rule for blinks does not exist, the rate of classification is not above 0, the encoder's,
        the time between detections or the longest duration is negative, any number is infinite, the smallest
        face is larger than the frame, or no face may be followed.
    WeightsError
        Where the registry lacks one.
    """
    if settings.blink_rule not in RULES:
        raise SetupError(f"blink_rule {settings.blink_rule!r}: there are {', '.join(RULES)}")
    patches = registry.get("patches", settings.patch_model)
    verdict = registry.get("verdict", settings.verdict_model or patches.settings.get("verdict", ""))
    records = {"detector": registry.get("detector"), "patches": patches, "verdict": verdict}
    if not 0 < settings.analysis_fps < math.inf:
        raise SetupError(f"analysis_fps {settings.analysis_fps:g} is not above 0, or infinite")
    for name in ("encoder_fps", "behavior_fps", "detect_s", "max_duration_s"):
        if not 0 <= getattr(settings, name) < math.inf:
            raise SetupError(f"{name} {getattr(settings, name):g} is below 0, or infinite")
    if not 0 <= settings.min_face <= 1:
        raise SetupError(f"min_face {settings.min_face:g} is no share of the frame's short side")
    if settings.max_faces < 1:
        raise SetupError(f"max_faces {settings.max_faces} is below 1")
    if settings.encoder_fps > 0 and "encoder" in registry.defaults:
        records["encoder"] = registry.get("encoder", verdict.settings.get("encoder", ""))
    if settings.behavior_fps > 0:
        records["landmarks"] = registry.get("landmarks", verdict.settings.get("landmarks", ""))
        if settings.blink_rule == "network":
            records["blink"] = registry.get("blink", verdict.settings.get("blink", ""))
    return records
