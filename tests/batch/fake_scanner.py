"""Stands in for vidscan.scanner: a file's text says what scanning it does.

``no_manipulation_found`` and the other labels give that verdict; ``crash`` kills the process, ``once`` does
so the first time only, ``sleep`` never ends, ``grow`` takes memory, ``raise`` breaks the scanner's promise.
Each scan leaves a line in the file that FAKE_LOG names.
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
    def __init__(self, settings=None, *, device="auto", forensics=False):
        if device == "cuda:9":
            raise WeightsError("patches.safetensors is missing")
        if device == "cuda:8":
            raise RuntimeError("nobody foresaw this")
        if device == "cuda:7":
            os._exit(7)
        self.settings = settings or ScanSettings()
        self.device = "cpu"
        self.models = MODELS

    def scan(self, path, *, masks=None, frames=False, progress=None, sha256=None):
        path = Path(path)
        if "FAKE_LOG" in os.environ:
            with Path(os.environ["FAKE_LOG"]).open("a") as log:
                log.write(f"{path.name} {os.environ.get('OMP_NUM_THREADS')}\n")
        if not os.path.exists(path):  # noqa: PTH110
            return error_report(path, NotFoundError("no such file"), self.settings, self.device, self.models)
        data = path.read_bytes()
        word = data.split()[0].decode()
        print("a library speaks", flush=True) if word == "noise" else None
        first = path.with_name(path.name + ".seen")
        if word == "crash" or (word in ("once", "kill") and not first.exists()):
            first.touch()
            if word == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGSEGV)
        if word == "sleep":
            time.sleep(600)
        if word == "slow":
            time.sleep(0.5)
        if word == "pause":
            time.sleep(0.03)
        if word == "grow":
            hoard = bytearray(os.urandom(1) * 600_000_000)
            time.sleep(600 if hoard else 0)
        if word == "raise":
            raise RuntimeError("broken promise")
        if progress:
            progress(0.5)
        label = word if word in ("uncertain", "manipulated", "no_face") else "no_manipulation_found"
        content = hashlib.sha256(data).hexdigest()
        assert sha256 in (None, content)  # a batch hashes once, check leaves it to the scanner
        return sample(label, path, settings=self.settings, sha256=content)


def error_report(path, error, settings, device, models):
    code = getattr(error, "code", "internal")
    info = ErrorInfo(code, f"{os.fspath(path)}: {error}")
    return sample("error", path, settings=settings, sha256=None, error=info, models=models)
