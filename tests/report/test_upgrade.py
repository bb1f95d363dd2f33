"""Reports of schema version 1.0 are read as reports of today."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vidscan.report.json import dumps, loads, report_schema
from vidscan.report.upgrade import VERSIONS, old_schema, upgraded
from vidscan.types import SCHEMA_VERSION

OLD: dict[str, Any] = json.loads(Path(__file__).with_name("report-1.0.json").read_text("utf-8"))
"""What version 1.0 wrote of examples/genuine.mp4."""


def moved() -> dict[str, Any]:
    """The same with movement measured, as 1.0 told it."""
    old = deepcopy(OLD)
    values = {"units_activity": 0.25, "correlation_mean": 0.5, "correlation_smile": -0.1}
    old["signals"]["action_units"] = {"score": 0.375, "status": "ok", "values": values}
    return old


def test_the_old_schema_is_that_of_the_old_reports() -> None:
    schema = json.loads(old_schema("1.0"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(moved())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(json.loads(dumps(loads(json.dumps(OLD)))))


def test_an_old_report_says_the_same_in_todays_words() -> None:
    report = loads(json.dumps(moved()))
    jsonschema.Draft202012Validator(report_schema()).validate(json.loads(dumps(report)))
    assert report.schema_version == SCHEMA_VERSION
    assert OLD["verdict"]["label"] == OLD["tracks"][0]["label"] == "authentic"
    assert report.verdict.label == report.tracks[0].label == "no_manipulation_found"
    assert (report.verdict.score, report.verdict.p_value) == (
        OLD["verdict"]["score"],
        OLD["verdict"]["p_value"],
    )
    assert list(report.signals) == [
        "patch", "flicker", "blink", "head_pose", "gaze", "action_units", "correlation"
    ]  # fmt: skip
    assert report.signals["patch"].values == OLD["signals"]["patch"]["values"]
    assert report.signals["flicker"].status == OLD["signals"]["temporal"]["status"]
    assert {signal.weight for signal in report.signals.values()} == {None}
    assert report.signals["action_units"].score == 0.375
    assert report.signals["action_units"].values == {"units_activity": 0.25}
    assert report.signals["correlation"].values == {"correlation_mean": 0.5, "correlation_smile": -0.1}
    assert (report.input.path, report.timing_s.total) == (OLD["input"]["path"], OLD["timing_s"]["total"])


def test_other_labels_stay_and_the_given_dict_is_not_changed() -> None:
    old = deepcopy(OLD)
    old["verdict"]["label"] = old["tracks"][0]["label"] = "uncertain"
    before = deepcopy(old)
    assert upgraded(old)["verdict"]["label"] == upgraded(old)["tracks"][0]["label"] == "uncertain"
    assert old == before
    assert "correlation" not in upgraded(old)["signals"]  # nothing was measured


@pytest.mark.parametrize("version", ["0.9", "3.0", None])
def test_unknown_versions_are_refused_with_those_that_are_known(version: str | None) -> None:
    with pytest.raises(ValueError, match=" or ".join(VERSIONS)):
        loads(json.dumps(OLD | {"schema_version": version}))


@pytest.mark.parametrize("broken", [{"signals": None}, {"tracks": 3}, {"verdict": {}}, {"signals": {}}])
def test_a_damaged_old_report_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not a whole report of schema version 1\.0"):
        loads(json.dumps(OLD | broken))
