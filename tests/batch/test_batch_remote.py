"""Files in object storage: listed by name, copied, scanned, and not left lying about."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import fake_scanner  # noqa: F401 - puts its folder's neighbors on the path of the workers too
import pytest

from vidscan.batch.discover import discover
from vidscan.batch.engine import Job, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.remote import RemoteFile, download, is_remote, sweep
from vidscan.batch.scan import scan_all
from vidscan.errors import NotFoundError, SetupError, TooLargeError

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies go; for worker processes as well."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def bucket() -> str:
    memory = fsspec.filesystem("memory")
    for name, content in {
        "a.mp4": "no_manipulation_found",
        "notes.txt": "text",
        "sub/B.MKV": "manipulated",
    }.items():
        memory.pipe(f"/bucket/{name}", content.encode())
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def test_urls_and_paths() -> None:
    assert is_remote("s3://bucket/a.mp4") and is_remote("file:///a")
    assert not any(is_remote(text) for text in ("a.mp4", "/a//b", "C:/x", "s3:/a", "concat:a|b", "://x"))


def test_folders_are_listed_by_name(bucket: str) -> None:
    def names(**options: object) -> list[str]:
        return [str(found).partition("bucket/")[2] for found in discover([RemoteFile(bucket)], **options)]

    assert names() == ["a.mp4", "sub/B.MKV"]
    assert names(recursive=False) == ["a.mp4"]
    assert names(exclude=["sub/*"]) == ["a.mp4"] and names(include=["*.MKV"]) == ["sub/B.MKV"]
    assert discover([RemoteFile(f"{bucket}/notes.txt")]) == [RemoteFile(f"{bucket}/notes.txt")]
    with pytest.raises(SetupError):
        discover([RemoteFile("nothing://here")])


def test_downloads_are_whole_or_not_there(bucket: str, scratch: Path) -> None:
    copy, sha256 = download(f"{bucket}/a.mp4", 100)
    assert (
        copy.read_text() == "no_manipulation_found"
        and sha256 == hashlib.sha256(b"no_manipulation_found").hexdigest()
    )
    copy.unlink()
    with pytest.raises(TooLargeError):
        download(f"{bucket}/a.mp4", 5)
    with pytest.raises(NotFoundError):
        download(f"{bucket}/gone.mp4", 100)
    assert list(scratch.iterdir()) == []


def test_batches_scan_copies_and_report_urls(tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "bucket"
    folder.mkdir()
    for name, content in {"a": "manipulated", "b": "manipulated", "c": "crash", "d": "raise"}.items():
        (folder / f"{name}.mp4").write_text(content)
    paths = [*discover([RemoteFile(f"file://{folder}")]), RemoteFile(f"file://{folder}/gone.mp4")]
    spec = ScannerSpec(factory="fake_scanner:Scanner", error_report="fake_scanner:error_report")
    with LocalEngine(spec, jobs=1) as engine:
        reports = {report.input.path: report for report in scan_all(paths, engine)}
        assert set(reports) == {str(path) for path in paths}
        codes = {Path(url).stem: report.error and report.error.code for url, report in reports.items()}
        assert codes == {
            "a": None, "b": None, "c": "decoder_crashed", "d": "internal", "gone": "not_found",
        }  # fmt: skip
        for url, report in reports.items():
            assert report.error is None or str(scratch) not in report.error.message, url
        ((_, again),) = engine.scan([Job(paths[0])])
        assert again.error is None
    assert list(scratch.iterdir()) == []


def test_what_a_lost_worker_leaves_is_swept(scratch: Path) -> None:
    (scratch / "vidscan-4711-abc").touch()
    (scratch / "vidscan-47110-abc").touch()
    sweep(4711)
    assert [path.name for path in scratch.iterdir()] == ["vidscan-47110-abc"]
