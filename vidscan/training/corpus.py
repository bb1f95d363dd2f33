"""Reading a corpus folder: its manifest, its identities, its splits."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from vidscan.errors import SetupError

HOLDOUT_SHARE = 5
"""One train identity in so many never gives a gradient: it sets thresholds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of ``manifest.csv``."""

    split: str
    """``train`` or ``dev``."""
    genuine: bool
    file: str
    """Relative to the corpus folder."""
    kind: str
    """``video``, ``photo`` or ``image``."""
    repo: str
    identity: str
    """Same text = same person; a fake has that of its genuine side, or its own file name."""
    method: str
    family: str
    pair: str
    """The genuine file that a fake was made from, or empty."""
    pairing: str

    @property
    def held_out(self) -> bool:
        """True for the fixed fifth of identities that no gradient may see."""
        digest = hashlib.sha256(self.identity.encode()).digest()
        return int.from_bytes(digest[:4], "big") % HOLDOUT_SHARE == 0


def read_manifest(corpus: Path) -> list[Entry]:
    """Every row of ``corpus/manifest.csv``, in file order.

    Raises
    ------
    SetupError
        Where there is no readable manifest.
    """
    path = corpus / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        identities = {row["file"]: row["identity"] for row in rows}
        return [
            Entry(
                split=row["split"],
                genuine=row["label"] == "real",
                file=row["file"],
                kind=row["kind"],
                repo=row["repo"],
                identity=row["identity"] or identities.get(row["pair"], "") or row["file"],
                method=row["method"],
                family=row["family"],
                pair=row["pair"],
                pairing=row["pairing"],
            )
            for row in rows
        ]
    except (OSError, KeyError) as error:
        raise SetupError(f"cannot read the corpus manifest {path}: {error}") from error
