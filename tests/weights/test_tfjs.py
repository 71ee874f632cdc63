"""TensorFlow.js models and a user's own models: several files, no published hash, names that others chose."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from posemask.errors import ModelFileError, WeightsError
from posemask.weights import Store, default_store, tfjs

from .server import CONTENT, Server, published, send

SHARDS = ("group1-shard1of2.bin", "deeper/group1-shard2of2.bin")


def model_json(*paths: object) -> bytes:
    return json.dumps({"modelTopology": {}, "weightsManifest": [{"paths": list(paths), "weights": []}]}).encode()


@pytest.fixture
def bodypix(store: Store, server: Server) -> Store:
    server.answers |= {
        "/b/model-stride16.json": model_json(*SHARDS),
        f"/b/{SHARDS[0]}": CONTENT,
        f"/b/{SHARDS[1]}": CONTENT[::-1],
    }
    address = server.url("/b/model-stride16.json")
    model = published(server, name="bodypix", format="tfjs", address=address, size=None, sha256=())
    return dataclasses.replace(store, catalogue={"bodypix": model})


def write_model(folder: Path, *names: str, file_name: str = "model.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file_name).write_bytes(model_json(*names))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CONTENT)
    return folder / file_name


# -- models of the catalogue without a published hash ------------------------------------------------------------------


def test_fetches_the_weight_files_too_and_records_all(bodypix: Store, server: Server) -> None:
    path = bodypix.path("bodypix")
    assert path == bodypix.cache / "bodypix" / "model.json"
    assert [file.read_bytes() for file in tfjs.weight_files(path)] == [CONTENT, CONTENT[::-1]]
    assert bodypix.path("bodypix") == path
    assert len(server.requests) == 3


def test_the_record_is_one_that_sha256sum_reads(bodypix: Store) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("the program sha256sum is not installed")
    folder = bodypix.path("bodypix").parent
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0
    assert checked.stdout.count(": OK") == 3


@pytest.mark.parametrize("name", ["model.json", *SHARDS])
@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_what_is_not_as_recorded_is_fetched_again(name: str, damage: str, bodypix: Store, server: Server) -> None:
    folder = bodypix.path("bodypix").parent
    before = (folder / name).read_bytes()
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(before[:-1] + b" ")
    assert bodypix.status("bodypix").path is None
    bodypix.path("bodypix")
    assert (folder / name).read_bytes() == before
    assert len(server.requests) == 6


def test_a_folder_without_a_record_was_not_fetched_completely(bodypix: Store, server: Server) -> None:
    folder = bodypix.path("bodypix").parent
    (folder / "SHA256SUMS").unlink()
    (refusal,) = bodypix.status("bodypix").refused
    assert "fetch was not completed" in refusal
    bodypix.path("bodypix")
    assert bodypix.status("bodypix").refused == ()


def test_a_publisher_who_changes_a_file_is_not_believed_silently(bodypix: Store, server: Server) -> None:
    path = bodypix.path("bodypix")
    path.write_bytes(b"{}")
    server.answers[f"/b/{SHARDS[0]}"] = b"new weights"
    with pytest.raises(WeightsError, match="differs from what was fetched and recorded before"):
        bodypix.path("bodypix")
    assert (path.parent / SHARDS[0]).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "//host/x", "http://host/x", "a/../../x", "..", "", ".", "a\\b", "C:x", "a//b",
             "./a", "x?y", "%2e%2e/x", "a\0b", 7, None, "model.json", "SHA256SUMS"],
)  # fmt: skip
def test_weight_files_stay_in_the_model_s_folder_and_on_its_host(name: object, bodypix: Store, server: Server) -> None:
    server.answers["/b/model-stride16.json"] = model_json(name)
    with pytest.raises(WeightsError, match=r"expected a relative path|a weight file is named"):
        bodypix.path("bodypix")
    assert server.requests == ["/b/model-stride16.json"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"weightsManifest": 3}',
        b'{"weightsManifest": [{"paths": "a.bin"}]}',
        b"[" * 99_999,
    ],
)
def test_what_is_not_a_model_is_refused(document: bytes, bodypix: Store, server: Server) -> None:
    server.answers["/b/model-stride16.json"] = document
    with pytest.raises(WeightsError, match=r"is not a TensorFlow\.js model"):
        bodypix.path("bodypix")


def test_an_answer_of_unknown_length_is_refused_where_no_hash_would_tell(bodypix: Store, server: Server) -> None:
    server.answers[f"/b/{SHARDS[0]}"] = lambda handler: send(handler, CONTENT[:100], length=-1)
    with pytest.raises(WeightsError, match="does not say how long"):
        bodypix.path("bodypix")
    assert not (bodypix.cache / "bodypix").exists()


@pytest.mark.parametrize("folder_name", ["bodypix", "bodypix_tfjs"])
@pytest.mark.parametrize("file_name", ["model.json", "model-stride16.json", "any.json"])
def test_a_folder_of_the_user_holds_a_folder_per_model(
    folder_name: str, file_name: str, bodypix: Store, server: Server, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "own" / folder_name, "a.bin", file_name=file_name)
    store = dataclasses.replace(bodypix, folders=(tmp_path / "own",))
    assert store.path("bodypix") == path
    assert server.requests == []
    (path.parent / "a.bin").unlink()
    assert "missing" in store.status("bodypix").refused[0]


def test_a_folder_of_the_user_is_held_against_its_record_if_it_has_one(bodypix: Store, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    copied.mkdir()
    bodypix.path("bodypix").parent.rename(copied / "bodypix")
    store = dataclasses.replace(bodypix, folders=(copied,), cache=tmp_path / "other")
    assert store.status("bodypix").path == copied / "bodypix" / "model.json"
    (copied / "bodypix" / SHARDS[0]).write_bytes(CONTENT[::-1])
    assert store.status("bodypix").path is None


def test_the_shared_weights_are_a_folder_per_model(shared_data: Path, tmp_path: Path) -> None:
    store = dataclasses.replace(default_store(), folders=(shared_data / "weights",), cache=tmp_path)
    for name in ("bodypix_mobilenet_v1_075_quant2_stride16", "blazepose_lite_tfjs", "selfie_segmentation_tfjs"):
        assert store.path(name).suffix == ".json"


# -- a user's own model ------------------------------------------------------------------------------------------------


def test_resolves_files_and_folders_in_place(store: Store, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m", *SHARDS)
    tflite = tmp_path / "t" / "own.tflite"
    tflite.parent.mkdir()
    tflite.write_bytes(CONTENT)
    assert store.resolve(path) == path
    assert store.resolve(str(path.parent)) == path
    assert store.resolve(tflite) == store.resolve(tflite.parent) == tflite
    assert not store.cache.exists()


def test_resolve_says_what_is_wrong_with_a_local_model(store: Store, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is none"):
        store.resolve(tmp_path / "absent.tflite")
    with pytest.raises(WeightsError, match="expected a folder with one model"):
        store.resolve(tmp_path)
    path = write_model(tmp_path / "m", *SHARDS)
    (path.parent / SHARDS[1]).unlink()
    with pytest.raises(ModelFileError, match="missing"):
        store.resolve(path)
    (path.parent / SHARDS[1]).symlink_to("/etc/hostname")
    with pytest.raises(ModelFileError, match="through a link"):
        store.resolve(path)
    path.write_bytes(model_json("../outside.bin"))
    with pytest.raises(ModelFileError, match="expected a relative path"):
        store.resolve(path)


@pytest.mark.parametrize("address", ["/own/model.json", "/own", "/own/"])
def test_resolves_an_address_once(address: str, store: Store, server: Server) -> None:
    server.answers |= {"/own/model.json": model_json("a.bin"), "/own/a.bin": CONTENT}
    path = store.resolve(server.url(address))
    assert tfjs.weight_files(path)[0].read_bytes() == CONTENT
    assert store.resolve(server.url(address)) == path
    assert server.requests == ["/own/model.json", "/own/a.bin"]


def test_weight_files_are_asked_for_with_the_query_of_the_model(store: Store, server: Server) -> None:
    query = "?tfjs-format=file"
    server.answers |= {f"/own/model.json{query}": model_json("a.bin"), f"/own/a.bin{query}": CONTENT}
    assert store.resolve(server.url(f"/own/model.json{query}")).is_file()


def test_different_addresses_do_not_share_files(store: Store, server: Server) -> None:
    server.answers |= {"/a.tflite": CONTENT, "/b.tflite": CONTENT[::-1]}
    assert store.resolve(server.url("/a.tflite")).read_bytes() == CONTENT
    assert store.resolve(server.url("/b.tflite")).read_bytes() == CONTENT[::-1]


def test_an_address_that_fails_is_an_error_with_its_reason(store: Store, server: Server) -> None:
    with pytest.raises(WeightsError, match="HTTP 404"):
        store.resolve(server.url("/own/model.json"))
    with pytest.raises(WeightsError, match="http"):
        store.resolve("http://[")


def test_a_password_in_an_address_is_not_written_down(store: Store, server: Server) -> None:
    server.answers["/own.tflite"] = CONTENT
    secret = server.url("/own.tflite").replace("//", "//me:hunter2@")
    path = store.resolve(secret)
    assert "hunter2" not in (path.parent / "SHA256SUMS").read_text()
    del server.answers["/own.tflite"]
    path.unlink()
    with pytest.raises(WeightsError) as caught:
        store.resolve(secret)
    assert "hunter2" not in str(caught.value)
