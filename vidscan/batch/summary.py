"""What a batch came to, in a few lines."""

from __future__ import annotations

from collections import Counter

from vidscan.report.words import LABEL_NAMES, count, timecode
from vidscan.types import LABEL_SEVERITY, Report


class Summary:
    """Counts reports as they come."""

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.skipped = 0
        self._media_s = 0.0

    def add(self, report: Report, *, skipped: bool = False) -> None:
        """Counts one report; ``skipped`` says it was there before this run."""
        self.labels[report.verdict.label] += 1
        if report.error is not None:
            self.errors[report.error.code] += 1
        if skipped:
            self.skipped += 1
        else:
            self._media_s += report.input.duration_s or 0.0

    def table(self, elapsed_s: float) -> str:
        """The counts as lines of text, worst label first."""
        total = sum(self.labels.values())
        width = max(map(len, LABEL_NAMES.values()))
        rows = [
            f"  {name:<{width}}  {self.labels[label]:>6}"
            for label, name in sorted(LABEL_NAMES.items(), key=lambda item: -LABEL_SEVERITY[item[0]])
            if self.labels[label]
        ]
        head = f"{count(total, 'file')} in {timecode(elapsed_s)}"
        if self.skipped:
            head += f", {self.skipped} of them done before"
        if self._media_s and elapsed_s:
            head += f"; {timecode(self._media_s)} of video at {self._media_s / elapsed_s:.1f} x real time"
        errors = [f"    {code:<{width}}{n:>6}" for code, n in sorted(self.errors.items())]
        # Errors are the worst label, so their codes stand right under it.
        return "\n".join([head, *rows[:1], *errors, *rows[1:]] if errors else [head, *rows])
