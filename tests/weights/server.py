"""A real web server on this machine, whose answers a test chooses."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from posemask.weights import PublishedModel

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """``answers`` maps a path with its query to what is sent: bytes, or a function that talks to the client itself."""

    address: str
    answers: dict[str, bytes | Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return self.address + path


def send(handler: BaseHTTPRequestHandler, body: bytes, *, length: int | None = None) -> None:
    """The usual answer; ``length`` is what the header claims (-1: no such header)."""
    handler.send_response(200)
    if length != -1:
        handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def redirect(to: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return answer


def stall(handler: BaseHTTPRequestHandler) -> None:
    """Half of the file, then silence until the client has given up."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])
    handler.wfile.flush()
    time.sleep(1.0)


def published(server: Server, **changes: object) -> PublishedModel:
    model = {
        "name": "tiny",
        "task": "mask",
        "description": "a small file for tests",
        "format": "tflite",
        "address": server.url("/tiny.tflite"),
        "size": len(CONTENT),
        "sha256": (SHA256,),
    }
    return PublishedModel(**{**model, **changes})  # type: ignore[arg-type]


@contextmanager
def serve() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            answer = state.answers.get(self.path)
            if answer is None:
                self.send_error(404)
            elif callable(answer):
                answer(self)
            else:
                send(self, answer)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        httpd.shutdown()
        thread.join()
