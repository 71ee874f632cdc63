"""``posemask models``: which published models there are, which are here, and how they get here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import WeightsError
from .console import AsJson, fetch_bar, print_json, print_table

if TYPE_CHECKING:
    from ..weights import PublishedModel, Status

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="As `posemask models list` shows them.")]


def register(app: typer.Typer) -> None:
    """Add the group ``models``."""
    group = typer.Typer(help="List, fetch and verify the published models.")
    group.command("list")(list_models)
    group.command("fetch")(fetch_models)
    group.command("verify")(verify_models)
    app.add_typer(group, name="models")


def list_models(as_json: AsJson = False) -> None:
    """Show every model that is known by name and whether it is here."""
    from .. import weights

    store = weights.default_store()
    found = [(model, store.status(model.name)) for model in weights.CATALOGUE.values()]
    if as_json:
        print_json([_described(model, status) for model, status in found])
        return
    print_table(
        ("name", "task", "MB", "licence", "where"),
        [(model.name, model.task, _megabytes(model), model.licence, _where(status)) for model, status in found],
    )


def fetch_models(
    names: Names = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every model of the list, also BodyPix and TensorFlow.js.")
    ] = False,
) -> None:
    """Fetch models into the cache; by default those of BlazePose and Selfie Segmentation."""
    from .. import weights

    if names and every:
        raise typer.BadParameter("give names or --all, not both")
    store = weights.default_store()
    wanted = list(weights.CATALOGUE) if every else names or list(weights.DEFAULT_NAMES)
    fetched, failures = [], {}
    with fetch_bar() as progress:
        for name in wanted:
            try:
                fetched.append((name, str(store.path(name, progress))))
            except WeightsError as error:  # noqa: PERF203 - the others are still wanted
                failures[name] = error
    if fetched:
        print_table(("name", "where"), fetched)
    if failures:
        reason = next(iter(failures.values()))
        if len(failures) == 1:
            raise reason
        raise WeightsError(
            f"{len(failures)} of {len(wanted)} models cannot be had: {', '.join(failures)}. The first: {reason}"
        ) from reason


def verify_models(names: Names = None, as_json: AsJson = False) -> None:
    """Check the sha256 of every model that is here, or of those that are named; fetch nothing."""
    from .. import weights

    store = weights.default_store()
    statuses = [store.status(name) for name in names or weights.CATALOGUE]
    if not names:
        statuses = [status for status in statuses if status.path or status.refused]
    if as_json:
        print_json([_described(weights.CATALOGUE[status.name], status) for status in statuses])
    else:
        print_table(
            ("name", "state", "where"),
            [(status.name, _state(status), _where(status)) for status in statuses],
        )
    bad = [status.name for status in statuses if status.refused or not status.path]
    if bad:
        raise WeightsError(
            f"altered, incomplete or missing: {', '.join(bad)}; `posemask models fetch` fetches them again"
        )
    if not statuses:
        raise WeightsError("there are no models here; `posemask models fetch` fetches them")


def _described(model: PublishedModel, status: Status) -> dict[str, object]:
    return {
        "name": model.name,
        "task": model.task,
        "description": model.description,
        "format": model.format,
        "size": model.size,
        "sha256": list(model.sha256),
        "licence": model.licence,
        "sources": [model.address, *(f"{file.client}: {file.requirement}" for file in model.packages)],
        "path": str(status.path) if status.path else None,
        "checked_against": status.checked_against,
        "refused": list(status.refused),
    }


def _megabytes(model: PublishedModel) -> str:
    return "" if model.size is None else f"{model.size / 1e6:.1f}"


def _where(status: Status) -> str:
    return "; ".join([*([str(status.path)] if status.path else []), *status.refused])


def _state(status: Status) -> str:
    if not status.path:
        return "refused" if status.refused else "missing"
    return {
        "published": "as published",
        "recorded": "as first fetched",
        None: "not checked: no sha256 is published or recorded",
    }[status.checked_against]
