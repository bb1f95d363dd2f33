"""Numbers and names that depend on what is told alone: draws that never change, keys of what is kept."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def hashed(*texts: str) -> int:
    """A whole number of 64 bits that depends on the texts and their order alone."""
    return int.from_bytes(hashlib.sha256("\n".join(texts).encode()).digest()[:8], "big")


def digest(value: Any, length: int = 12) -> str:
    """So many hexadecimal digits of the sha256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:length]
