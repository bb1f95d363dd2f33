"""Draws and keys are the same on every machine and in every version."""

from __future__ import annotations

from vidscan.digests import digest, hashed


def test_draws_never_change() -> None:
    assert hashed("") == 0xE3B0C44298FC1C14  # the start of the sha256 of nothing
    assert hashed("a", "b") == hashed("a\nb") != hashed("b", "a")


def test_keys_do_not_depend_on_the_order_of_names() -> None:
    assert digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest({"a": 1}, 5) == digest({"a": 1})[:5]
