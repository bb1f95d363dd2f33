"""Stands in for vidscan.serve.scanner: a file's words say what scanning it does (see tests/batch).

``clip`` makes such files; they begin like a GIF, so that they pass for media.
"""

from __future__ import annotations

import os
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "batch"))

import fake_scanner

from vidscan.report.html import write_html
from vidscan.serve.pages import PLACEHOLDER
from vidscan.serve.store import MASKS, PAGE, PROGRESS

_HEAD = b"GIF89a "


def clip(words: str) -> bytes:
    """The content of a file that the fake scanner takes."""
    return _HEAD + words.encode()


class Scanner(fake_scanner.Scanner):
    """``creep`` scans for two seconds and says how far it is."""

    def scan(self, path, *, sha256=None, folder, page=False, masks=False):
        target = Path(folder)
        content = Path(path).read_bytes()
        words = Path(path).with_name(f"{target.name}.words")
        words.write_bytes(content.removeprefix(_HEAD))
        try:
            if content.startswith(_HEAD + b"creep"):
                for share in range(20):
                    (target / PROGRESS).write_text(f"{share / 20:.4f}")
                    time.sleep(0.1)
            report = super().scan(words)
        finally:
            words.unlink()
        names = {"path": os.fspath(path), "sha256": sha256, "bytes": len(content)}
        report = replace(report, input=replace(report.input, **names))
        if page:
            nameless = replace(report, input=replace(report.input, path=PLACEHOLDER))
            write_html(nameless, target / PAGE)
        if masks:
            with zipfile.ZipFile(target / MASKS, "w") as archive:
                archive.writestr("masks/masks.json", "{}")
        return report
