"""Where the figures of a benchmark go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def publish(result: dict[str, Any], out: Path | None) -> None:
    """Print the result as JSON, and write it to ``out`` where that is given."""
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if out:
        out.write_text(text, encoding="utf-8")
