"""One test an attack: what a stranger, another site, or a hostile file may try."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fake_service import clip
from servers import TOKEN, Served, served

from vidscan.serve import guard
from vidscan.serve.metrics import Metrics
from vidscan.serve.problems import RefusedError
from vidscan.serve.settings import ServeSettings
from vidscan.serve.uploads import base_name

LIMIT = 300_000


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roots").resolve()
    (folder / "in").mkdir()
    (folder / "in" / "a.gif").write_bytes(clip("a"))
    (folder / "secret.gif").write_bytes(clip("secret"))
    return folder


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[Served]:
    """Without a token, on the loopback; nothing is scanned."""
    data = tmp_path_factory.mktemp("open") / "data"
    with served(
        data, max_upload=LIMIT, roots=(roots / "in",), patience_s=0.4, hosts=frozenset({"desk"})
    ) as one:
        yield one


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With a token, which the client does not send by itself."""
    with served(tmp_path_factory.mktemp("locked"), token=TOKEN) as one:
        yield one


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def kept(server: Served) -> list[Path]:
    """Every file of uploads there is."""
    data = server.service.settings.data
    return [*(data / "uploads").iterdir(), *(data / "media").iterdir()]


# ---------------------------------------------------------------------- names and paths


@pytest.mark.parametrize(
    "name",
    [
        "../../../../tmp/evil.mp4",
        "..\\..\\evil.mp4",
        "/etc/cron.d/evil.mp4",
        "C:\\boot\\evil.mp4",
        "evil.mp4",
    ],
)
def test_a_name_is_never_a_path(open_server: Served, name: str) -> None:
    job = open_server.post(clip("traversal"), name).json()
    assert job["name"] == "evil.mp4"
    assert [path.name for path in kept(open_server)].count(job["sha256"]) == 1
    data = open_server.service.settings.data
    assert not list(data.parent.rglob("*evil*")) and not Path("/tmp/evil.mp4").exists()


def test_names_that_are_none() -> None:
    for name in ("", ".", "..", "...", "/", "a/..", " ", "\0"):
        assert base_name(name) == "clip"
    assert base_name("a\0b.mp4") == "ab.mp4" and len(base_name("x" * 5000)) == 255
    assert base_name("\ud800.mp4") == "\N{REPLACEMENT CHARACTER}.mp4"


def test_a_name_cannot_split_a_header(open_server: Served) -> None:
    told = 'form-data; name="file"; filename="a%0d%0aX-Evil: 1\x0bb.mp4"'
    body = f"--b\r\nContent-Disposition: {told}\r\n\r\n".encode() + clip("split") + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = open_server.client.post("/v1/jobs", content=body, headers=kind)
    assert answer.status_code == 202 and "x-evil" not in answer.headers


def test_paths_outside_the_roots_tell_nothing(open_server: Served, roots: Path) -> None:
    (roots / "in" / "link.gif").symlink_to(roots / "secret.gif")
    (roots / "in" / "out").symlink_to(roots)
    inside = str(roots / "in")
    outside = [
        str(roots / "secret.gif"),
        str(roots / "gone.gif"),
        f"{inside}/../secret.gif",
        f"{inside}/link.gif",
        f"{inside}/out/secret.gif",
        f"{inside}-not/a.gif",
        "/etc/passwd",
        "in/a.gif",
        f"{inside}/a.gif\0.png",
        "file://" + inside + "/a.gif",
    ]
    answers = {open_server.client.post("/v1/jobs", json={"path": path}).text for path in outside}
    assert len(answers) == 1 and "not_allowed" in answers.pop()
    assert open_server.client.post("/v1/jobs", json={"path": f"{inside}/a.gif"}).status_code == 202


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_devices_and_folders_under_a_root_are_not_opened(open_server: Served, roots: Path) -> None:
    os.mkfifo(roots / "in" / "fifo.mp4")
    for name, status in (("fifo.mp4", 415), ("", 415), ("gone.mp4", 404)):
        answer = open_server.client.post("/v1/jobs", json={"path": str(roots / "in" / name)})
        assert answer.status_code == status and str(roots) not in answer.text


@pytest.mark.parametrize(
    "path", ["/v1/jobs/../../../etc/passwd", "/v1/jobs/%2e%2e%2fjobs.sqlite/report", "/..%2f"]
)
def test_no_address_leads_to_a_file(open_server: Served, path: str) -> None:
    host, port = urlsplit(open_server.url).netloc.split(":")
    with socket.create_connection((host, int(port))) as raw:  # clients would tidy the path up
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        status = raw.recv(4096).split()[1]
    assert status in (b"404", b"422")


# ---------------------------------------------------------------------- contents and sizes


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\nhttp://169.254.169.254/latest/meta-data\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<html><script>alert(1)</script></html>",
        b"#!/bin/sh\nrm -rf /\n",
        b"PK\x03\x04 an archive",
        b"",
    ],
)
def test_what_is_no_media_is_refused_whatever_its_name(open_server: Served, content: bytes) -> None:
    before = len(kept(open_server))
    answer = open_server.post(content, "holiday.mp4")
    refused(answer, 415, "unreadable")
    assert str(open_server.service.settings.data) not in answer.text
    assert len(kept(open_server)) == before


def test_an_upload_that_is_too_large_is_refused_and_removed(open_server: Served) -> None:
    before = len(kept(open_server))
    large = clip("x") + bytes(LIMIT)
    refused(open_server.post(large), 413, "too_large")
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    pieces = iter([head, *(large[at : at + 50_000] for at in range(0, len(large), 50_000)), b"\r\n--b--\r\n"])
    kind = {"Content-Type": "multipart/form-data; boundary=b"}  # no length is announced
    refused(open_server.client.post("/v1/jobs", content=pieces, headers=kind), 413, "too_large")
    lie = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**15}\r\n"
    lie += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(open_server.url).port or 0), timeout=120) as raw:
        raw.sendall(lie.encode())
        assert raw.recv(4096).split()[1] == b"413"
    assert len(kept(open_server)) == before


def test_an_upload_that_stops_coming_is_given_up(open_server: Served) -> None:
    before = len(kept(open_server))
    host, port = urlsplit(open_server.url).netloc.split(":")
    start = (
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nGIF89a'
    )
    with socket.create_connection((host, int(port)), timeout=120) as raw:
        raw.sendall(start.encode())
        assert raw.recv(4096).split()[1] == b"408"
    with socket.create_connection((host, int(port)), timeout=120) as raw:
        raw.sendall(start.encode())  # and gone
    deadline = time.monotonic() + 120
    while len(kept(open_server)) != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_forms_made_to_break_the_parser(open_server: Served) -> None:
    before = len(kept(open_server))
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nGIF89a\r\n'
    bodies = {
        "": 400,
        "no form at all": 400,
        file: 400,  # does not end
        file + file + "--b--\r\n": 422,
        part.format("page", "true") + "--b--\r\n": 422,
        "".join(part.format(f"f{n}", "x") for n in range(50)) + "--b--\r\n": 422,
        part.format("page", "x" * 9000) + file + "--b--\r\n": 422,
        part.format("page", "perhaps") + file + "--b--\r\n": 422,
        part.format("page", "true") * 2 + file + "--b--\r\n": 422,
        part.format("evil", "1") + file + "--b--\r\n": 422,
        "--b\r\n" + "X-Long: " + "y" * 20_000 + "\r\n\r\n": 400,
        "--b\r\n" + "X: y\r\n" * 500 + "\r\n": 400,
        "--b\r\nContent-Disposition\r\n\r\n": 400,
    }
    for body, status in bodies.items():
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = open_server.client.post("/v1/jobs", content=body.encode(), headers=kind)
        assert answer.status_code == status, (body[:80], answer.text)
        assert set(answer.json()["error"]) == {"code", "message"}
    for kind in ("multipart/form-data", "multipart/form-data; boundary=" + "b" * 300, "text/plain", ""):
        answer = open_server.client.post("/v1/jobs", content=file.encode(), headers={"Content-Type": kind})
        assert answer.status_code in (400, 415)
    assert len(kept(open_server)) == before


def test_json_made_to_break_the_parser(open_server: Served) -> None:
    kind = {"Content-Type": "application/json"}
    bodies = {b"{": 400, b"\xff": 400, b"[" * 60_000: 400, b"[]": 422, b"null": 422, b'{"path": 1}': 422}
    bodies |= {
        b'{"path": "/a", "evil": 1}': 422,
        b'{"path": "' + b"a" * 5000 + b'"}': 422,
        b"1" * 70_000: 413,
    }
    for body, status in bodies.items():
        answer = open_server.client.post("/v1/jobs", content=body, headers=kind)
        assert answer.status_code == status, (body[:80], answer.text)


def test_a_full_disk_costs_only_the_upload(open_server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = len(kept(open_server))
    with monkeypatch.context() as patch:
        patch.setattr("vidscan.serve.uploads.os.fsync", full)
        refused(open_server.post(clip("large")), 507, "disk_full")
    assert len(kept(open_server)) == before
    assert open_server.post(clip("large")).status_code == 202


def test_a_full_queue_and_a_hasty_client_are_told_to_wait(tmp_path: Path) -> None:
    with served(tmp_path, max_queue=2, rate=5) as server:
        assert [server.post(clip(f"{n}")).status_code for n in range(2)] == [202, 202]
        answer = server.post(clip("third"))
        refused(answer, 503, "queue_full")
        assert int(answer.headers["retry-after"]) > 0
        answers = [server.post(clip("more")) for _ in range(4)]
        refused(answers[-1], 429, "too_many")
        assert int(answers[-1].headers["retry-after"]) > 0
        assert server.client.get("/v1/jobs").status_code == 200, "looking is free"


@pytest.mark.parametrize(
    ("headers", "read", "pieces", "taken"),
    [
        ([], 0, 3, 3),  # whether nothing of it was read
        ([], 1, 3, 3),  # or some
        ([], 3, 3, 3),
        ([], 1, 100, 4),  # but only a little of a large one
        ([(b"expect", b"100-continue")], 0, 3, 0),  # nothing comes before it is asked for
        ([(b"expect", b"100-continue")], 1, 3, 3),
    ],
)
def test_what_still_comes_is_taken_before_a_refusal(
    headers: list[tuple[bytes, bytes]], read: int, pieces: int, taken: int, tmp_path: Path
) -> None:
    """Else a client that is still sending would lose the answer with its connection."""
    seen: list[str] = []

    async def receive() -> dict[str, Any]:
        seen.append("piece")
        return {"type": "http.request", "body": bytes(400_000), "more_body": seen.count("piece") < pieces}

    async def send(message: Any) -> None:
        seen.append(message["type"])

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(read):
            await receive()
        await RefusedError(413, "too_large", "too large").response()(scope, receive, send)

    scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "query_string": b"", "scheme": "http"}
    scope |= {"headers": [(b"host", b"localhost"), *headers]}
    guarded = guard.Guard(refusing, ServeSettings(tmp_path), Metrics(dict))
    asyncio.run(guarded(scope, receive, send))
    assert seen == ["piece"] * taken + ["http.response.start", "http.response.body"]


# ---------------------------------------------------------------------- who comes in


def test_nothing_without_the_token(locked: Served) -> None:
    id = "0" * 32
    paths = [
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        *(("GET", f"/v1/jobs/{id}{rest}") for rest in ("", "/report", "/report.html", "/masks")),
        ("DELETE", f"/v1/jobs/{id}"),
        *(
            ("GET", path)
            for path in ("/metrics", "/docs", "/openapi.json", "/", "/nothing", f"/?token={TOKEN}")
        ),
        ("POST", "/logout"),
    ]
    for method, path in paths:
        refused(locked.client.request(method, path), 401, "no_token")
    for value in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer \xff"):
        answer = locked.client.get("/v1/jobs", headers={"Authorization": value.encode("latin-1")})
        refused(answer, 401, "no_token")
    assert locked.client.get("/v1/jobs", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
    assert locked.client.get("/healthz").json()["status"] == "ok"


def test_a_browser_is_sent_to_sign_in_and_gets_a_cookie(locked: Served) -> None:
    with httpx.Client(base_url=locked.url, headers={"Accept": "text/html"}) as browser:
        assert browser.get("/").headers["location"] == "login"
        assert browser.get("/v1/jobs/x/report.html").headers["location"] == "/login"
        assert browser.get("/login").status_code == 200
        assert browser.post("/login", data={"token": "wrong"}).status_code == 403
        entered = browser.post("/login", data={"token": TOKEN})
        cookie = entered.headers["set-cookie"]
        assert entered.status_code == 303 and TOKEN not in cookie
        assert {"HttpOnly", "SameSite=strict"} <= set(re.split("; ?", cookie))
        assert "Secure" not in cookie  # this is http
        assert browser.get("/").status_code == 200 and browser.get("/v1/jobs").status_code == 200
        browser.post("/logout")
        assert browser.get("/").status_code == 303


def test_cookies_cannot_be_made_up(locked: Served) -> None:
    real, later = guard.new_session(TOKEN), str(int(time.time()) + 10**6)
    past = guard._session(TOKEN, int(time.time()) - 1)
    signature = real.partition(".")[2]
    for value in (
        past,
        f"{later}.{signature}",
        f"{later}.",
        later,
        real + "0",
        guard.new_session("other" * 4),
        "²",
    ):
        assert not guard.is_session(value, TOKEN)
    assert guard.is_session(real, TOKEN)


def test_guessing_the_token_is_slow(tmp_path: Path) -> None:
    with served(tmp_path, token=TOKEN, rate=5) as server:
        wrong = {"Authorization": "Bearer guess-guess-guess"}
        answers = [server.client.get("/v1/jobs", headers=wrong).status_code for _ in range(8)]
        assert answers[:5] == [401] * 5 and answers[-1] == 429
        assert server.client.post("/login", data={"token": "guess"}).status_code == 429


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_cannot_act_through_a_browser(locked: Served, headers: dict[str, str]) -> None:
    cookies = {"Cookie": f"{guard.COOKIE}={guard.new_session(TOKEN)}"}
    for method, path in (
        ("POST", "/v1/jobs"),
        ("DELETE", f"/v1/jobs/{'0' * 32}"),
        ("POST", "/login"),
        ("POST", "/logout"),
    ):
        answer = locked.client.request(method, path, headers=headers | cookies)
        refused(answer, 403, "cross_site")
    own = {"Origin": locked.url, "Sec-Fetch-Site": "same-origin"}
    refused(locked.client.delete(f"/v1/jobs/{'0' * 32}", headers=own | cookies), 404, "no_job")


def test_other_sites_cannot_read_either(open_server: Served) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    for answer in (
        open_server.client.get("/v1/jobs", headers=origin),
        open_server.client.options("/v1/jobs", headers=origin),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_name_that_was_rebound_to_this_machine_leads_nowhere(open_server: Served) -> None:
    for host in (
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "",
        "[",
        "localhost.evil",
        "10.0.0.1",
    ):
        refused(open_server.client.get("/v1/jobs", headers={"Host": host}), 421, "wrong_host")
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:8765", "desk", "desk:443"):
        assert open_server.client.get("/v1/jobs", headers={"Host": host}).status_code == 200


# ---------------------------------------------------------------------- what goes out


def test_every_answer_has_a_strict_policy(open_server: Served) -> None:
    for path in ("/", "/docs", "/login", "/v1/jobs", "/nothing", "/healthz", "/metrics", "/openapi.json"):
        headers = open_server.client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "same-origin"
        assert "server" not in headers


def test_an_unexpected_failure_tells_nothing(open_server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise RuntimeError("a secret")

    monkeypatch.setattr(open_server.service.store, "waiting", broken)
    answer = open_server.post(clip("x"))
    refused(answer, 500, "internal")
    assert "secret" not in answer.text and "content-security-policy" in answer.headers


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_other_users_of_the_machine_see_nothing(open_server: Served) -> None:
    data = open_server.service.settings.data
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    open_server.post(clip("mine"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept(open_server)} == {0o600}
