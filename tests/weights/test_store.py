"""Where weights come from, and that nothing but what was published is ever used."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from posemask.errors import WeightsError
from posemask.weights import Store

from .server import CONTENT, SHA256, Answer, Server, published, redirect, send, stall


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {".lock"}


def test_fetches_once_and_then_uses_the_cache(store: Store, server: Server) -> None:
    server.answers["/tiny.tflite"] = CONTENT
    seen: list[tuple[str, int, int | None]] = []
    path = store.path("tiny", lambda *step: seen.append(step))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("tiny", len(CONTENT), len(CONTENT))
    assert store.path("tiny") == path
    assert server.requests == ["/tiny.tflite"]
    assert files_in(store.cache) == {"tiny.tflite"}


def test_follows_redirects(store: Store, server: Server) -> None:
    server.answers["/tiny.tflite"] = redirect("/elsewhere")
    server.answers["/elsewhere"] = CONTENT
    assert store.path("tiny").read_bytes() == CONTENT


def test_accepts_every_published_form_of_a_file(store: Store, server: Server) -> None:
    model = published(server, sha256=("0" * 64, SHA256))
    server.answers["/tiny.tflite"] = CONTENT
    assert dataclasses.replace(store, catalogue={"tiny": model}).path("tiny").read_bytes() == CONTENT


BAD_ANSWERS: dict[str, tuple[bytes | Answer | None, str]] = {
    "absent": (None, "HTTP 404"),
    "altered": (CONTENT[:-1] + b"?", "altered or cut"),
    "cut, and says so": (CONTENT[:-1], "altered or cut"),
    "cut, and claims to be whole": (lambda h: send(h, CONTENT[:100], length=len(CONTENT)), "incomplete|closed"),
    "cut, without a length": (lambda h: send(h, CONTENT[:100], length=-1), "altered or cut"),
    "empty": (b"", "altered or cut"),
    "far too long": (lambda h: send(h, CONTENT * 20), "longer than"),
    "silent in the middle": (stall, r"no answer for 0\.3 s"),
    "redirected in a circle": (redirect("/tiny.tflite"), "redirect"),
    "redirected to nowhere": (redirect("ftp://127.0.0.1/tiny"), "ftp|protocol"),
    "not HTTP": (lambda h: h.wfile.write(b"hello\r\n\r\n") and None, "."),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_refuses_what_is_not_the_published_file(case: str, store: Store, server: Server) -> None:
    answer, reason = BAD_ANSWERS[case]
    if answer is not None:
        server.answers["/tiny.tflite"] = answer
    store = dataclasses.replace(store, timeout_s=0.3)
    with pytest.raises(WeightsError, match=f"{re.escape(server.url('/tiny.tflite'))}: .*({reason})"):
        store.path("tiny")
    assert files_in(store.cache) == set()


def test_recovers_after_a_failed_fetch(store: Store, server: Server) -> None:
    server.answers["/tiny.tflite"] = CONTENT[:-1]
    with pytest.raises(WeightsError):
        store.path("tiny")
    server.answers["/tiny.tflite"] = CONTENT
    assert store.path("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT[:-1] + b"?", b""], ids=["cut", "altered", "empty"])
def test_fetches_again_what_was_damaged_in_the_cache(
    damage: bytes, store: Store, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["/tiny.tflite"] = CONTENT
    path = store.path("tiny")
    path.write_bytes(damage)
    (refusal,) = store.status("tiny").refused
    assert "altered or cut" in refusal
    with caplog.at_level(logging.WARNING):
        assert store.path("tiny").read_bytes() == CONTENT
    assert "altered or cut" in caplog.text
    assert len(server.requests) == 2


def test_a_folder_of_the_user_comes_first_and_is_not_written(store: Store, server: Server, tmp_path: Path) -> None:
    flat, nested = tmp_path / "flat", tmp_path / "nested"
    (nested / "tiny").mkdir(parents=True)
    flat.mkdir()
    for file in (flat / "tiny.tflite", nested / "tiny" / "tiny.tflite"):
        file.write_bytes(CONTENT)
        file.chmod(0o444)
        file.parent.chmod(0o555)
        assert dataclasses.replace(store, folders=(tmp_path / "absent", file.parents[0])).path("tiny") == file
    assert dataclasses.replace(store, folders=(nested,)).path("tiny") == nested / "tiny" / "tiny.tflite"
    assert server.requests == []
    assert not store.cache.exists()


def test_an_altered_file_of_the_user_is_left_alone_and_not_used(
    store: Store, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "tiny.tflite"
    own.write_bytes(b"something else")
    server.answers["/tiny.tflite"] = CONTENT
    with caplog.at_level(logging.WARNING):
        path = dataclasses.replace(store, folders=(tmp_path,)).path("tiny")
    assert path == store.cache / "tiny.tflite"
    assert own.read_bytes() == b"something else"
    assert str(own) in caplog.text


def test_a_file_that_changes_after_its_first_check_is_checked_again(store: Store, server: Server) -> None:
    server.answers["/tiny.tflite"] = CONTENT
    path = store.path("tiny")
    time.sleep(0.01)
    path.write_bytes(CONTENT[:-1] + b"?")
    del server.answers["/tiny.tflite"]
    with pytest.raises(WeightsError, match="altered or cut"):
        store.path("tiny")


def test_the_error_lists_every_source_with_its_reason_and_says_what_to_do(
    store: Store, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "tiny.tflite").write_bytes(b"x")
    empty = tmp_path / "empty"
    empty.mkdir()
    store = dataclasses.replace(store, folders=(tmp_path / "absent", empty, tmp_path))
    with pytest.raises(WeightsError) as caught:
        store.path("tiny")
    message = str(caught.value)
    for line in (
        f"{tmp_path / 'absent'}: there is no such folder",
        f"{empty}: there is no tiny.tflite",
        f"{store.cache}: there is no tiny.tflite",
        f"{tmp_path / 'tiny.tflite'} is refused: altered or cut: expected {len(CONTENT)} bytes",
        f"{server.url('/tiny.tflite')}: HTTP 404",
        "posemask models fetch tiny",
        "POSEMASK_WEIGHTS",
    ):
        assert line in message


def test_no_server_at_the_address(store: Store, server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        model = published(server, address=f"http://127.0.0.1:{unused.getsockname()[1]}/tiny.tflite")
        with pytest.raises(WeightsError, match=r"refused|connect"):
            dataclasses.replace(store, catalogue={"tiny": model}).path("tiny")


def test_unknown_names_are_answered_with_the_nearest(store: Store) -> None:
    with pytest.raises(WeightsError, match="did you mean tiny"):
        store.path("tinny")
    with pytest.raises(WeightsError, match="posemask models list"):
        store.path("yolo")


def test_a_cache_that_cannot_be_written_is_an_error_that_says_so(store: Store, server: Server, tmp_path: Path) -> None:
    server.answers["/tiny.tflite"] = CONTENT
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="POSEMASK_CACHE"):
        dataclasses.replace(store, cache=tmp_path / "file" / "cache").path("tiny")


FETCH = """
import sys
from pathlib import Path
from posemask.weights import PublishedModel, Store
address, cache, size, sha256 = sys.argv[1:]
model = PublishedModel(name="tiny", task="", description="", format="tflite", address=address, size=int(size),
                       sha256=(sha256,))
print(Store(folders=(), cache=Path(cache), catalogue={"tiny": model}).path("tiny"))
"""


def test_two_processes_at_once_fetch_once(store: Store, server: Server) -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(1.0)  # long enough for the second process to arrive
        send(handler, CONTENT)

    server.answers["/tiny.tflite"] = slowly
    command = [sys.executable, "-c", FETCH, server.url("/tiny.tflite"), str(store.cache), str(len(CONTENT)), SHA256]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in running]
    assert outputs == [str(store.cache / "tiny.tflite")] * 2
    assert server.requests == ["/tiny.tflite"]
    assert files_in(store.cache) == {"tiny.tflite"}


def test_a_killed_fetch_leaves_nothing_under_the_final_name(store: Store, server: Server) -> None:
    server.answers["/tiny.tflite"] = stall
    command = [sys.executable, "-c", FETCH, server.url("/tiny.tflite"), str(store.cache), str(len(CONTENT)), SHA256]
    with subprocess.Popen(command) as process:
        part = store.cache / ".incoming" / "tiny.tflite"
        deadline = time.monotonic() + 30
        while not part.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert part.exists()
        process.kill()
    assert files_in(store.cache) == {".incoming/tiny.tflite"}
    server.answers["/tiny.tflite"] = CONTENT
    assert store.path("tiny").read_bytes() == CONTENT
    assert files_in(store.cache) == {"tiny.tflite"}


def test_the_environment_names_folders_and_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from posemask import weights

    monkeypatch.setenv("POSEMASK_WEIGHTS", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    monkeypatch.setenv("POSEMASK_CACHE", str(tmp_path / "c"))
    store = weights.default_store()
    assert store.folders == (tmp_path / "a", tmp_path / "b")
    assert store.cache == tmp_path / "c" / "weights"
    monkeypatch.delenv("POSEMASK_WEIGHTS")
    monkeypatch.delenv("POSEMASK_CACHE")
    assert weights.default_store().folders == ()
    assert "posemask" in weights.cache_folder().parts
