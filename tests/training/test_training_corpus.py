"""The manifest's meaning, and the fifth of people that no gradient may see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifests import entry
from vidscan.errors import SetupError
from vidscan.training.corpus import read_manifest

HEAD = "split,label,file,kind,repo,commit,path_in_repo,licence,identity,method,family,pair,pairing,note\n"
ROWS = (
    'train,real,train/real/a.mp4,video,r/one,c,p,MIT,anna,,,,,"a note, with a comma"\n'
    "train,fake,train/fake/b.mp4,video,r/one,c,p,MIT,,simswap,swap,train/real/a.mp4,same_footage,\n"
    "dev,fake,dev/fake/c.png,image,r/two,c,p,MIT,,flux,generated,,,\n"
)


def test_manifest_rows(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(HEAD + ROWS, encoding="utf-8")
    genuine, swapped, generated = read_manifest(tmp_path)
    assert (genuine.genuine, swapped.genuine, generated.genuine) == (True, False, False)
    assert genuine.identity == "anna"
    assert swapped.identity == "anna"  # a fake has the identity of its genuine side
    assert generated.identity == "dev/fake/c.png"  # or else its own name
    assert (swapped.method, swapped.family, swapped.pairing) == ("simswap", "swap", "same_footage")
    assert (generated.split, generated.kind, generated.repo) == ("dev", "image", "r/two")
    assert genuine.held_out == swapped.held_out


def test_a_manifest_that_is_missing_or_lacks_a_column(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot read the corpus manifest"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("split,label,file\ntrain,real,x.mp4\n", encoding="utf-8")
    with pytest.raises(SetupError, match="manifest"):
        read_manifest(tmp_path)


def test_about_a_fifth_is_held_out_by_identity_alone() -> None:
    people = [f"person {i}" for i in range(3000)]
    share = sum(entry("f.mp4", p).held_out for p in people) / len(people)
    assert 0.17 < share < 0.23
    for name in people[:50]:
        other = entry("other.png", name, method="m", repo="q", kind="image")
        assert other.held_out == entry("f.mp4", name).held_out


def test_the_held_out_fifth_never_changes() -> None:
    """Calibration is worth nothing if a later training run sees its people."""
    assert [i for i in range(20) if entry("f.mp4", f"person {i}").held_out] == HELD_OUT


HELD_OUT = [5, 8, 11]
