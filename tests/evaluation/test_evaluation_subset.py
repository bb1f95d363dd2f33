from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.corpus import corpus_folder
from tests.manifests import entry
from vidscan.errors import SetupError
from vidscan.evaluation.scanning import load_split
from vidscan.evaluation.subset import read_subset
from vidscan.training.corpus import choose


def test_repositories_get_their_share_and_the_order_does_not_matter() -> None:
    entries = [
        entry(f"{repo}{i}", repo=repo) for repo, n in (("a", 60), ("b", 30), ("c", 10)) for i in range(n)
    ]
    chosen = choose(entries, 20)
    assert Counter(e.repo for e in chosen) == {"a": 12, "b": 6, "c": 2}
    assert choose(entries[::-1], 20) == chosen
    assert choose(entries, 20, seed=1) != chosen
    assert [e.file for e in chosen] == sorted(e.file for e in chosen)


def test_everybody_once_before_anybody_twice() -> None:
    entries = [entry(f"x{i}", "often") for i in range(20)] + [entry(f"y{i}") for i in range(4)]
    people = Counter(e.identity for e in choose(entries, 6))
    assert people == {"often": 2, "y0": 1, "y1": 1, "y2": 1, "y3": 1}
    assert len(choose(entries, 100)) == 24


def test_lists_are_read_with_comments(tmp_path: Path) -> None:
    entries = [entry("a.mp4"), entry("b.mp4"), entry("f.mp4", method="m")]
    path = tmp_path / "list.txt"
    path.write_text("# some\nb.mp4  # the second\n\na.mp4\nb.mp4\n")
    assert [e.file for e in read_subset(path, entries)] == ["b.mp4", "a.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# none\n", "names no clip"),
        ("a.mp4\nf.mp4\n", "no genuine clips of this split, the first is f.mp4"),
        ("a.mp4\ngone.mp4\n", "the first is gone.mp4"),
    ],
)
def test_bad_lists_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(SetupError, match=message) as error:
        read_subset(path, [entry("a.mp4"), entry("f.mp4", method="m")])
    assert "\n" not in str(error.value)


def test_unreadable_lists_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot read the list"):
        read_subset(tmp_path / "gone.txt", [entry("a.mp4")])


def test_the_shipped_list_is_what_choose_gives() -> None:
    entries = load_split(corpus_folder(), "dev")
    assert read_subset(None, entries) == choose([e for e in entries if e.genuine and e.kind == "video"], 60)
