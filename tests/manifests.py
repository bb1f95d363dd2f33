"""Corpus manifests of a few rows, and entries as they would be read from one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from vidscan.training.corpus import Entry

HEADER = "split,label,file,kind,repo,identity,method,family,pair,pairing"


def write_manifest(folder: Path, *rows: str) -> Path:
    """``rows`` have the columns of :data:`HEADER`; returns the folder."""
    (folder / "manifest.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return folder


def entry(file: str, identity: str = "", *, method: str = "", pair: str = "", **more: Any) -> Entry:
    """A clip of dev, by a faceswap where it has a ``method``; of its ``pair``'s footage where it has one."""
    family, pairing = method and "faceswap", pair and "same_footage"
    plain = Entry("dev", not method, file, "video", "r", identity or file, method, family, pair, pairing)
    return replace(plain, **more)
