"""Finding media under folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidscan.batch.discover import discover
from vidscan.errors import UnreadableError


def sniff(path: Path) -> str:
    if path.read_bytes().startswith(b"media"):
        return "mp4"
    raise UnreadableError("not media")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in {
        "b.mp4": "media b",
        "a.bin": "media a",
        "notes.txt": "text",
        "broken.MP4": "text",
        "._b.mp4": "text",
        "sub/c.mkv": "media c",
        "sub/deep/d.mp4": "media d",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def names(root: Path, **options) -> list[str]:
    return [os.path.relpath(path, root) for path in discover([root], sniff=sniff, **options)]


def test_by_content_and_sorted(tree: Path) -> None:
    assert names(tree) == ["a.bin", "b.mp4", "broken.MP4", "sub/c.mkv", "sub/deep/d.mp4"]
    assert names(tree, recursive=False) == ["a.bin", "b.mp4", "broken.MP4"]


def test_globs(tree: Path) -> None:
    assert names(tree, include=["*.mp4"]) == ["b.mp4", "sub/deep/d.mp4"]
    assert names(tree, include=["sub/*"], exclude=["d.*"]) == ["sub/c.mkv"]


def test_linked_folders_are_entered_once(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree)
    (tree / "again").symlink_to(tree / "sub")
    (tree / "self").symlink_to(tree / "self")
    assert len(names(tree)) == 5


def test_given_files_and_missing_ones_are_kept_once(tree: Path) -> None:
    given = [tree / "notes.txt", tree / "gone", tree / "notes.txt", tree / "sub"]
    found = [path.name for path in discover(given, sniff=sniff)]
    assert found == ["gone", "notes.txt", "c.mkv", "d.mp4"]


def test_what_only_has_the_name_of_a_video_is_listed_and_not_opened(tree: Path) -> None:
    before = names(tree)
    os.mkfifo(tree / "pipe.mp4")
    os.mkfifo(tree / "pipe")
    (tree / "lost.mp4").symlink_to(tree / "nowhere")
    (tree / "lost").symlink_to(tree / "nowhere")
    (tree / "round.mp4").symlink_to(tree / "round.mp4")
    assert sorted({*names(tree)} - {*before}) == ["lost.mp4", "pipe.mp4", "round.mp4"]


def test_a_name_that_no_file_can_have_is_kept(tree: Path) -> None:
    given = [Path("x" * 300 + ".mp4"), Path("a\0b.mp4"), tree / "sub"]
    assert len(discover(given, sniff=sniff)) == 4
