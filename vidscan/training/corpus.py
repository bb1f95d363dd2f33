"""A corpus folder: its manifest, its people and splits, and groups of its clips."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidscan.digests import hashed
from vidscan.errors import SetupError
from vidscan.spread import in_turns

HOLDOUT_SHARE = 5
"""One train identity in so many never gives a gradient: it sets thresholds."""
LEAST_CLIPS = 3
"""Methods with fewer clips are pooled by family."""


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


def choose(entries: Sequence[Entry], count: int, seed: int = 0) -> list[Entry]:
    """``count`` entries, from each repository its share, and nobody twice before everybody once.

    The draw depends on names and ``seed`` only, not on the order of the entries. Returns them by name;
    all of them where there are no more than ``count``.
    """
    repos: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda e: hashed(f"{seed}:{e.file}")):
        repos[entry.repo].append(entry)
    count = min(count, len(entries))
    shares = {repo: count * len(own) / len(entries) for repo, own in repos.items()}
    quotas = {repo: int(share) for repo, share in shares.items()}
    # Largest remainders first, so that the shares add up.
    for repo in sorted(repos, key=lambda r: (quotas[r] - shares[r], r))[: count - sum(quotas.values())]:
        quotas[repo] += 1
    chosen = []
    for repo, own in repos.items():
        chosen += in_turns(own, lambda entry: entry.identity)[: quotas[repo]]
    return sorted(chosen, key=lambda entry: entry.file)


def by_method(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Forged entries by method; of methods with fewer than :data:`LEAST_CLIPS` by family, as "other"."""
    forged = [entry for entry in entries if not entry.genuine]
    counts = Counter(entry.method for entry in forged)
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in forged:
        few = counts[entry.method] < LEAST_CLIPS
        found[f"other {entry.family}" if few else entry.method].append(entry)
    return dict(found)


def same_footage(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Genuine (each once) and forged sides of the pairs among ``entries`` that share their footage."""
    by_file = {entry.file: entry for entry in entries}
    forged = [entry for entry in entries if entry.pairing == "same_footage" and entry.pair in by_file]
    return [by_file[file] for file in sorted({entry.pair for entry in forged})], forged
