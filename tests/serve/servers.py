"""Services that tests start and stop, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fake_service  # noqa: F401 - puts its folder's neighbors on the path of the workers too
import httpx

from vidscan.batch.engine import Identity, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.serve.server import listen, make_server
from vidscan.serve.service import Service
from vidscan.serve.settings import ServeSettings
from vidscan.types import ScanSettings

TOKEN = "a-token-of-many-characters"


def fake_spec() -> ScannerSpec:
    return ScannerSpec(factory="fake_service:Scanner", error_report="fake_scanner:error_report")


def fake_engine(**options: Any) -> Callable[[], LocalEngine]:
    return lambda: LocalEngine(fake_spec(), **({"jobs": 2} | options))


class IdleEngine:
    """Takes no job, for tests that are about something else."""

    def start(self) -> Identity:
        return Identity(ScanSettings(), "cpu", ())

    def follow(self, feed: Any, *, admit: Any) -> Iterator[Any]:
        while not feed.closed:
            feed.wake.poll(None)
            feed.wake.recv_bytes()
        yield from ()

    def close(self) -> None:
        pass


@dataclass
class Served:
    """A running service, and a client of it."""

    url: str
    service: Service
    client: httpx.Client

    def post(self, content: bytes, name: str = "clip.mp4", **fields: str) -> httpx.Response:
        return self.client.post("/v1/jobs", files={"file": (name, content)}, data=fields)

    def job(self, id: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/jobs/{id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, id: str) -> dict[str, Any]:
        """The job, once it is done or failed."""
        return wait_for(lambda: (job := self.job(id))["state"] in ("done", "failed") and job)


def wait_for(what: Callable[[], Any], seconds: float = 240.0) -> Any:
    """What ``what`` returns, as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)
    return found


@contextmanager
def served(data: Path, engine: Callable[[], Any] = IdleEngine, **settings: Any) -> Iterator[Served]:
    """A service in this process, on a port of its own."""
    listener = listen("127.0.0.1", 0)
    service = Service(ServeSettings(data=data, **settings), engine)
    server = make_server(service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        wait_for(lambda: client.get("/healthz").status_code == 200)
        yield Served(url, service, client)
    server.should_exit = True
    thread.join()
    listener.close()
