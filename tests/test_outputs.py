"""The door through which files are written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidscan.outputs import Replacement, write_text


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), Replacement(target) as part, part.open("w") as stream:
        stream.write("half")
        raise RuntimeError
    assert target.read_text() == "old" and names(tmp_path) == ["a.json"]
    with Replacement(target) as part, part.open("w") as stream:
        stream.write("new")
        stream.flush()
        assert target.read_text() == "old" and part.path.suffix == ".json"
    assert target.read_text() == "new" and names(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_stay(tmp_path: Path) -> None:
    target, link, twin = tmp_path / "real" / "a.txt", tmp_path / "link.txt", tmp_path / "twin.txt"
    write_text(target, "old")
    target.chmod(0o640)
    link.symlink_to(target)
    os.link(target, twin)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and twin.read_text() == "old"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    with Replacement(tmp_path / "own", private=True) as part, part.open() as stream:
        stream.write(b"secret")
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o600


def test_it_reaches_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    target = tmp_path / "a.txt"
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(target.exists()))
    write_text(target, "x")
    assert seen == [False]

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(target, "y")
    assert target.read_text() == "x" and names(tmp_path) == ["a.txt"]


def test_what_cannot_be_replaced_is_refused_at_once(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / ("n" * 300), Path(os.devnull)):
        with pytest.raises(OSError, match=r"directory|too long|regular"):
            Replacement(target)


@given(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=60)
)
@settings(max_examples=60, deadline=None)
def test_any_name_holds_what_was_written_and_nothing_is_left(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    if name in (".", ".."):
        return
    write_text(folder / name, "one")
    write_text(folder / name, "two")
    assert names(folder) == [name] and (folder / name).read_text() == "two"
