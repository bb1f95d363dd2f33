"""Reports of earlier schema versions, brought up to date."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from vidscan.types import SCHEMA_VERSION

VERSIONS: tuple[str, ...] = ("1.0", SCHEMA_VERSION)
"""What can be read, oldest first."""

_PAIRS = "correlation_"


def old_schema(version: str) -> str:
    """The JSON Schema of an earlier version, as text."""
    return (files("vidscan.report") / "schemas" / f"{version}.json").read_text("utf-8")


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """A report (as a dict) of any of :data:`VERSIONS` as one of this version; ``data`` is not changed.

    Version 1.0 called the label ``no_manipulation_found`` "authentic" and the signal ``flicker`` "temporal",
    had no weights, and gave ``action_units`` the higher of its own score and that of ``correlation``.

    Raises
    ------
    ValueError
        Where it is of no known version, or lacks what its version has.
    """
    version = data.get("schema_version")
    if version == SCHEMA_VERSION:
        return data
    if version not in VERSIONS:
        raise ValueError(f"not a vidscan report of schema version {' or '.join(VERSIONS)}")
    try:
        return {
            **data,
            "schema_version": SCHEMA_VERSION,
            "verdict": _relabelled(data["verdict"]),
            "tracks": [_relabelled(track) for track in data["tracks"]],
            "signals": _signals(data["signals"]),
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a whole report of schema version {version}") from error


def _relabelled(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "label": "no_manipulation_found"} if data["label"] == "authentic" else data


def _signals(before: dict[str, Any]) -> dict[str, Any]:
    found = {"flicker" if name == "temporal" else name: signal for name, signal in before.items()}
    values = found["action_units"]["values"]
    pairs = {name: value for name, value in values.items() if name.startswith(_PAIRS)}
    rest = {name: value for name, value in values.items() if name not in pairs}
    found["action_units"] = {**found["action_units"], "values": rest}
    if pairs:
        found["correlation"] = {"score": None, "status": "ok", "values": pairs}
    return found
