"""Stands in for vidscan.scanner: a file's text says what scanning it does.

``authentic`` and the other labels give that verdict; ``crash`` kills the process, ``sleep``
never ends, ``raise`` breaks the scanner's promise. Each scan leaves a line in the file that
FAKE_LOG names.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))

from sample_reports import MODELS, sample

from vidscan.errors import NotFoundError, WeightsError
from vidscan.types import ErrorInfo, ScanSettings


class Scanner:
    def __init__(self, settings=None, *, device="auto"):
        if device == "cuda:9":
            raise WeightsError("patches.safetensors is missing")
        if device == "cuda:8":
            raise RuntimeError("nobody foresaw this")
        self.settings = settings or ScanSettings()
        self.device = "cpu"
        self.models = MODELS

    def scan(self, path, *, masks=None, frames=False, progress=None):
        path = Path(path)
        if "FAKE_LOG" in os.environ:
            with Path(os.environ["FAKE_LOG"]).open("a") as log:
                log.write(f"{path.name} {os.environ.get('OMP_NUM_THREADS')}\n")
        if not path.exists():
            return error_report(path, NotFoundError("no such file"), self.settings, self.device, self.models)
        data = path.read_bytes()
        word = data.split()[0].decode()
        print("a library speaks", flush=True) if word == "noise" else None
        if word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if word == "sleep":
            time.sleep(600)
        if word == "slow":
            time.sleep(0.5)
        if word == "raise":
            raise RuntimeError("broken promise")
        if progress:
            progress(0.5)
        label = word if word in ("uncertain", "manipulated", "no_face") else "authentic"
        return sample(label, path, settings=self.settings, sha256=hashlib.sha256(data).hexdigest())


def error_report(path, error, settings, device, models):
    code = getattr(error, "code", "internal")
    sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest() if Path(path).is_file() else None
    return sample(
        "error", path, settings=settings, sha256=sha256, error=ErrorInfo(code, str(error)), models=models
    )
