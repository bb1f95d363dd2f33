"""Callbacks: delivered, signed, repeated; and never to where they may not go."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_service import clip
from servers import Served, fake_engine, served, wait_for

from vidscan.serve import callbacks
from vidscan.serve.callbacks import SIGNATURE, ForbiddenAddressError, is_allowed, is_public, public_address

SECRET = "a-secret-of-many-characters"


class Receiver(ThreadingHTTPServer):
    """Takes callbacks; ``answers`` are given one after the other, then 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append((self.path, {}, b"a redirect was followed"))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.02,))
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def engine_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Receiver]]:
    with receiving() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "DELAYS_S", (0.05, 0.05))
        options = {"callbacks": (f"{receiver.url}/hook",), "callback_secret": SECRET}
        data = tmp_path_factory.mktemp("data")
        with served(data, fake_engine(jobs=1), private_callbacks=True, **options) as server:
            yield server, receiver


def test_a_finished_job_is_sent_signed(engine_server: tuple[Served, Receiver]) -> None:
    server, receiver = engine_server
    receiver.got.clear()
    url = f"{receiver.url}/hook/new?key=1"
    id = server.post(clip("manipulated called"), callback_url=url).json()["id"]
    path, headers, body = wait_for(lambda: receiver.got and receiver.got[0])
    assert path == "/hook/new?key=1" and headers["X-Vidscan-Job"] == id
    job = json.loads(body)
    assert (job["id"], job["state"], job["label"]) == (id, "done", "manipulated")
    moment, signature = (part.partition("=")[2] for part in headers[SIGNATURE].split(","))
    assert abs(int(moment) - time.time()) < 60
    expected = hmac.new(SECRET.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert signature == expected
    told = wait_for(lambda: (job := server.job(id))["callback"]["state"] == "delivered" and job)
    assert told["callback"] == {"url": url, "state": "delivered", "tries": 1}
    late = server.post(clip("manipulated called"), callback_url=url).json()["id"]
    wait_for(lambda: len(receiver.got) == 2)
    assert json.loads(receiver.got[1][2])["id"] == late, "also where the content was known"


def test_it_is_sent_again_until_it_is_taken_or_given_up(engine_server: tuple[Served, Receiver]) -> None:
    server, receiver = engine_server
    for answers, state, tries in (([500, 503], "delivered", 3), ([500, 302, 404], "given_up", 3)):
        receiver.got.clear()
        receiver.answers = list(answers)
        id = server.post(clip(f"no_face {state}"), callback_url=f"{receiver.url}/hook").json()["id"]
        callback = wait_for(lambda id=id: (c := server.job(id)["callback"])["state"] != "waiting" and c)
        assert (callback["state"], callback["tries"]) == (state, tries)
        assert len(receiver.got) == 3 and {path for path, _, _ in receiver.got} == {"/hook"}


def test_an_address_that_is_not_allowed_is_refused_with_its_job(
    engine_server: tuple[Served, Receiver],
) -> None:
    server, receiver = engine_server
    before = server.service.store.counts()
    for url in ("http://evil.example/hook", f"{receiver.url}/other", "file:///etc/passwd", "", "http://["):
        answer = server.post(clip("manipulated evil"), callback_url=url)
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "callback_not_allowed"
    assert server.service.store.counts() == before
    assert list((server.service.settings.data / "uploads").iterdir()) == []


def test_a_killed_server_delivers_after_its_start(tmp_path: Path) -> None:
    with receiving() as receiver:
        options: dict[str, Any] = {
            "callbacks": (receiver.url,),
            "callback_secret": SECRET,
            "private_callbacks": True,
        }
        url = f"{receiver.url}/x"
        with served(tmp_path, fake_engine(jobs=1), **options) as first:
            first.service.callbacks.stop()
            id = first.post(clip("uncertain owed"), callback_url=url).json()["id"]
            first.ended(id)
            assert receiver.got == []
        with served(tmp_path, **options):
            wait_for(lambda: receiver.got)
        assert receiver.got[0][1]["X-Vidscan-Job"] == id


ALLOWED = ("https://hooks.example.org/vidscan", "http://10.0.0.5:8080/")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.org/vidscan", True),
        ("https://hooks.example.org/vidscan/new?x=1", True),
        ("https://hooks.example.org:443/vidscan", True),
        ("https://HOOKS.example.org/vidscan/a", True),
        ("http://10.0.0.5:8080/any", True),
        ("http://10.0.0.5:8080", True),
        ("http://hooks.example.org/vidscan", False),
        ("https://hooks.example.org/vidscans", False),
        ("https://hooks.example.org/", False),
        ("https://hooks.example.org/vidscan/../admin", False),
        ("https://hooks.example.org/vidscan/%2e%2E/admin", False),
        ("https://hooks.example.org.evil.example/vidscan", False),
        ("https://hooks.example.org@evil.example/vidscan", False),
        ("https://user:pass@hooks.example.org/vidscan", False),
        ("https://evil.example/#https://hooks.example.org/vidscan", False),
        ("https://hooks.example.org\\@evil.example/vidscan", False),
        ("https://hooks.example.org:444/vidscan", False),
        ("https://hooks.example.org:x/vidscan", False),
        ("https://hooks.example.org/vidscan\r\nX: 1", False),
        ("https://hooks.example.org/vid\u200bscan", False),
        ("ftp://hooks.example.org/vidscan", False),
        ("//hooks.example.org/vidscan", False),
        ("https:///vidscan", False),
    ],
)
def test_what_is_under_an_allowed_address(url: str, allowed: bool) -> None:
    assert is_allowed(url, ALLOWED) is allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "ff02::1",
    ],
)
def test_private_addresses_in_every_disguise(address: str) -> None:
    assert not is_public(address)


def test_public_addresses() -> None:
    assert (
        is_public("93.184.216.34") and is_public("2606:2800:220:1::1") and is_public("::ffff:93.184.216.34")
    )


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names resolve to one answer after the other; the names that were asked for."""
    asked, left = [], list(answers)

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(callbacks.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_with_any_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(ForbiddenAddressError):
        public_address("hooks.example.org", 443)


def test_a_name_that_changes_its_mind_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is connected to: the name is not looked up again."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(204)

    with (
        served(tmp_path, callbacks=ALLOWED[:1], callback_secret=SECRET) as server,
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
    ):
        asked = resolve_to(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
        assert server.service.callbacks._deliver(client, "https://hooks.example.org/vidscan", b"{}", "ab")
    (request,) = sent
    assert (request.url.host, request.url.port or 443) == ("93.184.216.34", 443)
    assert request.headers["host"] == "hooks.example.org"
    assert request.extensions["sni_hostname"] == "hooks.example.org"
    assert asked == ["hooks.example.org"]


def test_private_addresses_are_not_called_unless_allowed(tmp_path: Path) -> None:
    with receiving() as receiver:
        options: dict[str, Any] = {"callbacks": (receiver.url,), "callback_secret": SECRET}
        with served(tmp_path, fake_engine(jobs=1), **options) as server:
            id = server.post(clip("manipulated private"), callback_url=f"{receiver.url}/x").json()["id"]
            callback = wait_for(lambda: (c := server.job(id)["callback"])["state"] != "waiting" and c)
            assert callback["state"] == "given_up" and callback["tries"] == 1
        assert receiver.got == []
