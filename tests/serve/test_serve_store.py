"""What the store remembers, shares and forgets; no server, no workers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import fake_service  # noqa: F401 - puts its folder's neighbors on the path
import pytest
from sample_reports import sample

from vidscan.errors import SetupError
from vidscan.serve.rows import Claim, NewJob
from vidscan.serve.store import MASKS, PAGE, Store
from vidscan.types import ErrorInfo, Report


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, "these models")


def upload(store: Store, content: bytes = b"x", **options: bool) -> str:
    part = store.uploads / "a.part"
    part.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return store.add(NewJob("clip.mp4", upload=part, sha256=sha256, bytes=len(content), **options))


def report(claim: Claim, sha256: str | None = None, *, failed: bool = False) -> Report:
    error = ErrorInfo("corrupt", f"{claim.file}: broken") if failed else None
    return sample(
        "error" if failed else "manipulated", claim.file, sha256=claim.sha256 or sha256, error=error
    )


def claimed(store: Store) -> Claim:
    claim = store.claim()
    assert claim is not None
    return claim


def state(store: Store, id: str) -> str:
    row = store.get(id)
    assert row is not None
    return str(row["state"])


def test_jobs_are_claimed_in_order_and_each_once(store: Store) -> None:
    ids = [upload(store, bytes([n])) for n in range(3)]
    assert [claimed(store).id for _ in ids] == ids
    assert store.claim() is None
    assert store.counts() == {"queued": 0, "running": 3, "done": 0, "failed": 0}


def test_twins_wait_for_one_scan_and_share_it(store: Store) -> None:
    first, second = upload(store), upload(store)
    claim = claimed(store)
    assert claim.id == first and store.claim() is None
    (claim.folder / PAGE).write_text("page")
    assert store.finish(claim, report(claim)) == 2
    assert state(store, first) == state(store, second) == "done"
    assert state(store, upload(store)) == "done"
    assert list(store.uploads.iterdir()) == [] and len(list((store.uploads.parent / "media").iterdir())) == 1


def test_a_twin_that_wants_more_is_scanned_again(store: Store) -> None:
    upload(store, page=True)
    more = upload(store, page=True, masks=True)
    claim = claimed(store)
    (claim.folder / PAGE).write_text("page")
    assert store.finish(claim, report(claim)) == 1
    again = claimed(store)
    assert again.id == more and again.masks
    (again.folder / PAGE).write_text("page")
    (again.folder / MASKS).write_bytes(b"zip")
    store.finish(again, report(again))
    assert state(store, upload(store, masks=True)) == "done"


def test_results_of_other_models_do_not_count(store: Store, tmp_path: Path) -> None:
    upload(store, page=False)
    store.finish(claim := claimed(store), report(claim))
    store.close()
    other = Store(tmp_path, "other models")
    assert state(other, upload(other, page=False)) == "queued"


def test_failures_are_not_shared_with_later_jobs(store: Store) -> None:
    first = upload(store)
    store.finish(claim := claimed(store), report(claim, failed=True))
    assert state(store, first) == "failed"
    told = store.report(first)
    assert told is not None and told.error is not None and told.error.message == "clip.mp4: broken"
    assert state(store, upload(store)) == "queued"


def test_a_path_is_known_by_its_content_once_that_is_read(store: Store, tmp_path: Path) -> None:
    ids = [store.add(NewJob("p", path=tmp_path / f"{n}.mp4")) for n in range(3)]
    one, two = claimed(store), claimed(store)
    assert store.identify(one.id, "ab" * 32)
    assert not store.identify(two.id, "ab" * 32), "it waits for the first"
    assert state(store, two.id) == "queued" and claimed(store).id == ids[2]
    assert store.finish(one, report(one, "ab" * 32)) == 2
    assert store.identify(ids[2], "ab" * 32), "it wants a page, and none was made"


@pytest.mark.parametrize(
    "forget", [lambda store, id: store.delete(id), lambda store, id: store.requeue([id])]
)
def test_a_report_that_comes_too_late_is_dropped(
    store: Store, forget: Callable[[Store, str], object]
) -> None:
    id = store.add(NewJob("p", path=Path("/p.mp4")))
    claim = claimed(store)
    forget(store, id)
    assert store.finish(claim, report(claim, None)) == 0
    store.drop(claim)
    assert not claim.folder.exists()


def test_deleting_the_running_twin_hands_the_scan_to_the_other(store: Store) -> None:
    first, second = upload(store), upload(store)
    claim = claimed(store)
    assert store.delete(first) and not store.is_running(first)
    assert store.finish(claim, report(claim)) == 1 and state(store, second) == "done"


def test_files_go_with_their_last_job(store: Store, tmp_path: Path) -> None:
    first, second = upload(store), upload(store)
    claim = claimed(store)
    (claim.folder / PAGE).write_text("page")
    store.finish(claim, report(claim))
    (media,) = (tmp_path / "media").iterdir()
    store.delete(first)
    assert media.exists() and claim.folder.exists()
    store.delete(second)
    assert not media.exists() and not claim.folder.exists()
    assert store.database.rows("SELECT * FROM results") == []
    assert store.get(first) is None and not store.delete(first)


def test_media_and_pictures_expire_but_verdicts_stay(store: Store, tmp_path: Path) -> None:
    old = upload(store)
    claim = claimed(store)
    (claim.folder / PAGE).write_text("page")
    store.finish(claim, report(claim))
    waiting = upload(store, b"still waits")
    assert store.expire(time.time() - 3600) == 0
    assert store.expire(time.time()) == 1
    assert [path.read_bytes() for path in (tmp_path / "media").iterdir()] == [b"still waits"]
    row = store.get(old)
    assert row is not None and row["expired"] and store.product(row, PAGE) is None
    assert not claim.folder.exists() and store.report(old) is not None
    assert state(store, waiting) == "queued" and store.expire(time.time()) == 0
    assert state(store, upload(store)) == "queued", "its page has to be made again"
    assert state(store, upload(store, page=False)) == "done"


def test_what_a_killed_server_left_is_cleared_and_queued(store: Store, tmp_path: Path) -> None:
    id = upload(store)
    claimed(store)
    (tmp_path / "uploads" / "half.part").write_bytes(b"half")
    (tmp_path / "media" / "unknown").write_bytes(b"moved, but its row was not written")
    store.close()
    again = Store(tmp_path, "these models")
    assert state(again, id) == "queued" and claimed(again).id == id
    assert list((tmp_path / "uploads").iterdir()) == [] and not (tmp_path / "media" / "unknown").exists()


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.database.transaction() as db:
        db.execute("UPDATE clock SET change = 99")
        raise RuntimeError
    assert store.database.rows("SELECT change FROM clock")[0][0] == 0


def test_a_newer_or_broken_database_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, "m")
    with store.database.transaction() as db:
        db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(SetupError, match="version 99"):
        Store(tmp_path, "m")
    (tmp_path / "jobs.sqlite").write_bytes(b"no database" * 1000)
    for rest in ("-wal", "-shm"):
        (tmp_path / f"jobs.sqlite{rest}").unlink(missing_ok=True)
    with pytest.raises(SetupError, match="cannot open"):
        Store(tmp_path, "m")
