"""Where the figures of a benchmark go, and on what they were measured."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from vidscan import __version__


def publish(result: dict[str, Any], out: Path | None, told: str = "") -> None:
    """Print the result as JSON, after version and machine, and write it to ``out`` where that is given.

    ``told`` is printed in place of the JSON.
    """
    measured_on = {
        "vidscan": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }
    text = json.dumps(measured_on | result, indent=1) + "\n"
    print(told or text, end="")
    if out:
        out.write_text(text, encoding="utf-8")
