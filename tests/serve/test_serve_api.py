"""Jobs over HTTP, on real worker processes with a fake scanner."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_service import clip
from servers import Served, fake_engine, served, wait_for

from vidscan.report.json import loads
from vidscan.report.words import headline


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("roots").resolve()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where every scan leaves a line."""
    file = tmp_path_factory.mktemp("log") / "scans"
    file.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_LOG", str(file))
        yield file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, roots: Path, log: Path) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("data")
    with served(data, fake_engine(timeout_s=4), roots=(roots,)) as running:
        yield running


def scans(log: Path) -> int:
    return len(log.read_text().splitlines())


def test_an_upload_becomes_a_verdict_a_page_and_masks(server: Served) -> None:
    posted = server.post(clip("manipulated one"), "odd <name> \u202e.mp4", masks="true")
    assert posted.status_code == 202
    id = posted.json()["id"]
    assert posted.headers["location"] == f"/v1/jobs/{id}"
    job = server.ended(id)
    assert (job["state"], job["label"], job["name"]) == ("done", "manipulated", "odd <name> \u202e.mp4")
    assert (job["page"], job["masks"], job["progress"]) == (True, True, None)
    answer = server.client.get(f"/v1/jobs/{id}/report")
    report = loads(answer.text)
    assert job["headline"] == headline(report) and job["score"] == report.verdict.score
    assert report.input.path == "odd <name> \u202e.mp4" and report.input.sha256 == job["sha256"]
    assert answer.text.endswith("\n}\n") and json.loads(answer.text)["schema_version"] == "2.0"
    page = server.client.get(f"/v1/jobs/{id}/report.html").text
    assert "odd &lt;name&gt; \\u202e.mp4" in page and "odd <name>" not in page
    inside = page.partition('id="report">')[2].partition("</script>")[0]
    assert json.loads(inside)["input"]["path"] == "odd <name> \u202e.mp4"
    masks = server.client.get(f"/v1/jobs/{id}/masks")
    assert zipfile.ZipFile(io.BytesIO(masks.content)).namelist() == ["masks/masks.json"]


def test_the_same_content_is_scanned_once_and_told_under_each_name(server: Served, log: Path) -> None:
    before, content = scans(log), clip("slow uncertain twins")
    ids = [server.post(content, f"{n}.mp4").json()["id"] for n in range(3)]
    jobs = [server.ended(id) for id in ids]
    late = server.post(content, "late.mp4").json()
    assert late["state"] == "done", "a known content needs no scan"
    assert scans(log) == before + 1
    assert len({job["sha256"] for job in jobs}) == 1
    for job in [*jobs, late]:
        report = server.client.get(f"/v1/jobs/{job['id']}/report").json()
        assert report["input"]["path"] == job["name"]
        page = server.client.get(f"/v1/jobs/{job['id']}/report.html").text
        assert f"<title>No manipulation found: {job['name']} " in page


def test_more_wanted_of_a_known_content_is_made(server: Served, log: Path) -> None:
    content = clip("manipulated more")
    id = server.post(content, page="false").json()["id"]
    job = server.ended(id)
    assert not job["page"] and not job["masks"]
    plain = server.client.get(f"/v1/jobs/{id}/report.html").text
    assert "Face manipulation found" in plain and "clip.mp4" in plain
    answer = server.client.get(f"/v1/jobs/{id}/masks")
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "no_masks"
    before = scans(log)
    assert server.ended(server.post(content, masks="true").json()["id"])["masks"]
    assert scans(log) == before + 1


def test_progress_is_told_and_results_wait(server: Served) -> None:
    id = server.post(clip("creep")).json()["id"]
    job = wait_for(lambda: (job := server.job(id))["progress"] and job)
    assert job["state"] == "running" and 0 < job["progress"] < 1
    for path in ("report", "report.html", "masks"):
        answer = server.client.get(f"/v1/jobs/{id}/{path}")
        assert answer.status_code == 409 and answer.json()["error"]["code"] == "unfinished"
    assert server.ended(id)["progress"] is None


def test_crashes_and_timeouts_cost_one_job_and_may_be_tried_again(server: Served, log: Path) -> None:
    for word, code in (("crash", "decoder_crashed"), ("raise", "internal"), ("sleep", "timeout")):
        job = server.ended(server.post(clip(f"{word} alone"), f"{word}.mp4").json()["id"])
        assert (job["state"], job["label"], job["error_code"]) == ("failed", "error", code)
        report = server.client.get(f"/v1/jobs/{job['id']}/report").json()
        assert report["error"]["code"] == code and report["input"]["path"] == f"{word}.mp4"
        told = report["error"]["message"] + server.client.get(f"/v1/jobs/{job['id']}/report.html").text
        assert str(server.service.settings.data) not in told, "no path of the server is told"
    before = scans(log)
    assert server.ended(server.post(clip("raise alone")).json()["id"])["state"] == "failed"
    assert scans(log) == before + 1, "an error is no result to keep"
    assert server.ended(server.post(clip("manipulated after")).json()["id"])["state"] == "done"


def test_files_of_the_server_by_path(server: Served, roots: Path, log: Path) -> None:
    file = roots / "in" / "a clip.mp4"
    file.parent.mkdir()
    file.write_bytes(clip("uncertain by path"))
    answer = server.client.post("/v1/jobs", json={"path": str(file), "page": False})
    assert answer.status_code == 202
    job = server.ended(answer.json()["id"])
    assert (job["state"], job["name"]) == ("done", str(file))
    report = server.client.get(f"/v1/jobs/{job['id']}/report").json()
    assert report["input"]["path"] == str(file)
    before = scans(log)
    assert server.post(file.read_bytes(), page="false").json()["state"] == "done"
    again = server.ended(server.client.post("/v1/jobs", json={"path": str(file), "page": False}).json()["id"])
    assert again["state"] == "done" and scans(log) == before
    assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert file.exists(), "only uploads are the service's to remove"


def test_delete_removes_media_and_results_and_ends_the_scan(server: Served) -> None:
    data = server.service.settings.data
    done = server.ended(server.post(clip("manipulated to go")).json()["id"])
    media = data / "media" / done["sha256"]
    folder = data / "results" / done["id"]
    assert media.exists() and (folder / "page.html").exists()
    assert server.client.delete(f"/v1/jobs/{done['id']}").status_code == 204
    assert not media.exists() and not folder.exists()
    for path in ("", "/report", "/report.html", "/masks"):
        assert server.client.get(f"/v1/jobs/{done['id']}{path}").status_code == 404
    assert server.client.delete(f"/v1/jobs/{done['id']}").status_code == 404

    running = [server.post(clip(f"creep {n}")).json()["id"] for n in range(2)]
    wait_for(lambda: all(server.job(id)["state"] == "running" for id in running))
    pids = server.service.runner._engine.pids
    assert server.client.delete(f"/v1/jobs/{running[0]}").status_code == 204
    wait_for(lambda: set(pids) != set(server.service.runner._engine.pids))
    assert server.ended(running[1])["state"] == "done", "its neighbour goes on"
    wait_for(lambda: not (data / "results" / running[0]).exists())


def test_deleting_one_of_two_jobs_leaves_the_other_whole(server: Served) -> None:
    ids = [server.post(clip("manipulated shared")).json()["id"] for _ in range(2)]
    jobs = [server.ended(id) for id in ids]
    server.client.delete(f"/v1/jobs/{ids[0]}")
    assert server.client.get(f"/v1/jobs/{ids[1]}/report.html").status_code == 200
    assert (server.service.settings.data / "media" / jobs[1]["sha256"]).exists()


def test_changes_are_told_in_order_once(server: Served) -> None:
    start = server.client.get("/v1/jobs", params={"limit": 1000}).json()["next"]
    ids = [server.ended(server.post(clip(f"no_face {n}")).json()["id"])["id"] for n in range(3)]
    first = server.client.get("/v1/jobs", params={"since": start, "limit": 2}).json()
    assert [job["id"] for job in first["jobs"]] == ids[:2] and first["more"]
    rest = server.client.get("/v1/jobs", params={"since": first["next"]}).json()
    assert [job["id"] for job in rest["jobs"]] == ids[2:] and not rest["more"]
    server.client.delete(f"/v1/jobs/{ids[0]}")
    news = server.client.get("/v1/jobs", params={"since": rest["next"]}).json()
    assert news["jobs"] == [] and news["deleted"] == ids[:1]
    assert server.client.get("/v1/jobs", params={"since": news["next"]}).json()["deleted"] == []


def test_many_uploads_at_once_lose_none(server: Served) -> None:
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda n: server.post(clip(f"manipulated {n}"), page="false"), range(80)))
    assert {answer.status_code for answer in answers} == {202}
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 80
    assert {server.ended(id)["state"] for id in ids} == {"done"}


def test_monitoring(server: Served) -> None:
    server.ended(server.post(clip("manipulated seen")).json()["id"])
    assert server.client.get("/healthz").json()["status"] == "ok"
    metrics = server.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in metrics.text.splitlines() if not line.startswith("#"))
    assert float(lines['vidscan_scans_total{label="manipulated"}']) >= 1
    assert float(lines["vidscan_upload_bytes_total"]) > 0 and 'vidscan_jobs{state="queued"}' in lines


def test_a_restarted_server_goes_on_and_keeps_what_it_had(tmp_path: Path) -> None:
    with served(tmp_path) as first:  # nothing is scanned here
        done = first.post(clip("uncertain later"), "later.mp4").json()
        twin = first.post(clip("uncertain later"), "twin.mp4").json()
        (tmp_path / "uploads" / "half.part").write_bytes(b"GIF89a of a client that was cut off")
        (tmp_path / "results" / "ab").mkdir()
        first.service.store.claim()
    with served(tmp_path, fake_engine(jobs=1)) as second:
        assert {second.ended(job["id"])["state"] for job in (done, twin)} == {"done"}
        assert list((tmp_path / "uploads").iterdir()) == []
        assert not (tmp_path / "results" / "ab").exists()
        assert sqlite3.connect(tmp_path / "jobs.sqlite").execute(
            "SELECT count(*) FROM results"
        ).fetchone() == (1,)


def test_the_engine_is_started_again_where_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidscan.serve.runner._RESTART_S", 0.2)
    made = []

    def engine():  # type: ignore[no-untyped-def]
        made.append(fake_engine(jobs=1)())
        if len(made) == 1:
            first_follow = made[0].follow

            def follow(feed, *, admit):  # type: ignore[no-untyped-def]
                for pair in first_follow(feed, admit=admit):
                    yield pair
                    raise OSError("nobody foresaw this")

            made[0].follow = follow  # type: ignore[method-assign]
        return made[-1]

    with served(tmp_path, engine) as server:
        assert server.ended(server.post(clip("manipulated a")).json()["id"])["state"] == "done"
        assert server.ended(server.post(clip("manipulated b")).json()["id"])["state"] == "done"
        assert len(made) == 2 and server.client.get("/healthz").json()["status"] == "ok"
