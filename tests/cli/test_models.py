"""``posemask models``, with a web that is a dictionary; the real one is tested with the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from posemask import weights
from posemask.weights import PublishedModel, store
from posemask.weights.failure import SourceError

from .conftest import Run

CONTENT = b"weights" * 1000

Web = dict[str, bytes]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> Web:
    """What lies at which address: ``tiny`` is there, ``small`` is not; both are what is fetched by default."""
    web = {"https://web.example/tiny": CONTENT}
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    catalogue = MappingProxyType(
        {
            name: PublishedModel(
                name=name,
                task="mask",
                description="",
                format="tflite",
                address=f"https://web.example/{name}",
                size=len(CONTENT),
                sha256=(sha256,),
            )
            for name in ("tiny", "small")
        }
    )

    def download(url: str, to: Path, *, on_bytes: Callable[[int, int | None], None], **options: object) -> None:
        if url not in web:
            raise SourceError("HTTP 404 Not Found")
        to.write_bytes(web[url])
        on_bytes(len(web[url]), len(web[url]))

    monkeypatch.setattr(store, "download", download)
    monkeypatch.setattr(store, "CATALOGUE", catalogue)
    monkeypatch.setattr(weights, "CATALOGUE", catalogue)
    monkeypatch.setattr(weights, "DEFAULT_NAMES", ("tiny", "small"))
    return web


def test_list_shows_what_there_is_and_where(run: Run, web: Web, empty_cache: Path) -> None:
    run("models", "fetch", "tiny")
    outcome = run("models", "list")
    lines = {line.split()[0]: line for line in outcome.out.splitlines()}
    assert str(empty_cache / "tiny.tflite") in lines["tiny"]
    assert str(empty_cache) not in lines["small"]
    assert "Apache-2.0" in lines["small"]
    listed = {model["name"]: model for model in json.loads(run("models", "list", "--json").out)}
    assert listed["tiny"]["path"] == str(empty_cache / "tiny.tflite")
    assert listed["tiny"]["checked_against"] == "published"
    assert listed["small"]["path"] is None
    assert listed["small"]["sha256"] == [hashlib.sha256(CONTENT).hexdigest()]


def test_fetch_gets_what_is_named_and_shows_where_it_is(run: Run, web: Web, empty_cache: Path) -> None:
    outcome = run("models", "fetch", "tiny")
    assert outcome.status == 0
    assert str(empty_cache / "tiny.tflite") in outcome.out
    assert outcome.err == "posemask: fetching: tiny\n"  # on a terminal, a bar
    web.clear()
    again = run("models", "fetch", "tiny")
    assert (again.status, again.err) == (0, "")


@pytest.mark.parametrize("arguments", [(), ("--all",)])
def test_fetch_gets_all_that_can_be_had_and_fails_if_one_cannot(
    arguments: tuple[str, ...], run: Run, web: Web, empty_cache: Path
) -> None:
    outcome = run("models", "fetch", *arguments)
    assert outcome.status == 1
    assert "cannot get the weights 'small'" in outcome.err.splitlines()[-1]
    assert "HTTP 404" in outcome.err.splitlines()[-1]
    assert (empty_cache / "tiny.tflite").is_file()
    web["https://web.example/small"] = CONTENT
    assert run("models", "fetch", *arguments).status == 0


def test_fetch_counts_what_cannot_be_had(run: Run, web: Web) -> None:
    web.clear()
    line = run("models", "fetch").error_line
    assert "2 of 2 models cannot be had: tiny, small. The first: " in line


def test_fetch_of_names_and_of_all_is_wrong_usage(run: Run, web: Web) -> None:
    assert run("models", "fetch", "tiny", "--all").status == 2


def test_an_unknown_name_is_answered_with_the_nearest(run: Run, web: Web) -> None:
    for command in ("fetch", "verify"):
        outcome = run("models", command, "tinny")
        assert outcome.status == 1
        assert "did you mean tiny" in outcome.error_line


def test_verify_says_what_is_right_and_what_is_not(run: Run, web: Web, empty_cache: Path) -> None:
    assert "there are no models here" in run("models", "verify").error_line
    run("models", "fetch", "tiny")
    outcome = run("models", "verify")
    assert outcome.status == 0
    assert "as published" in outcome.out
    assert run("models", "verify", "small").status == 1
    (empty_cache / "tiny.tflite").write_bytes(b"altered")
    outcome = run("models", "verify")
    assert outcome.status == 1
    assert "tiny" in outcome.error_line
    (described,) = json.loads(run("models", "verify", "--json").out)
    assert "altered or cut" in described["refused"][0]
