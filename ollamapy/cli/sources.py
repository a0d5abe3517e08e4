"""What sources have: `outdated` and `search`, and the refresh of `pull --all`. Each asks the daemon and prints."""

import sys
from collections.abc import Iterable

from ollamapy.cli import progress, render
from ollamapy.cli.daemon import connect
from ollamapy.client import Client
from ollamapy.settings import Settings
from ollamapy.units import format_bytes
from ollamapy.wire.native import indented
from ollamapy.wire.sources import Checked, Match, Outdated

_FITS = {True: "yes", False: "no", None: "?"}


def outdated(settings: Settings, as_json: bool) -> None:
    """Prints the pulled models that are not what their sources have."""
    with connect(settings) as client:
        found = client.outdated()
    if as_json:
        print(indented(found))
        return
    print(outdated_table(found.models), end="")
    print(summary(found), file=sys.stderr)


def outdated_table(models: Iterable[Checked]) -> str:
    """A line for each model that is not current."""
    rows = [
        (model.model, model.status, model.digest[:12], model.available[:12] or model.reason)
        for model in models
        if model.status != "current"
    ]
    return render.table([("NAME", "STATUS", "ID", "AVAILABLE"), *rows]) if rows else ""


def summary(found: Outdated) -> str:
    """How many of what."""
    num_current = sum(model.status == "current" for model in found.models)
    others = f"; {found.num_others} were not pulled, or have changed since" if found.num_others else ""
    return f"{num_current} of {len(found.models)} pulled models are current{others}"


def refresh(client: Client, limit_rate: int) -> None:
    """Pulls every model that is outdated as it was pulled before, with progress on stderr."""
    found = client.outdated()
    for model in found.models:
        if model.status == "unknown":
            print(f"{model.model}: not compared: {model.reason}", file=sys.stderr)
        if model.status == "outdated":
            print(f"{model.model}:", file=sys.stderr)
            words = model.asked or model.model
            lines = client.pull(words, insecure=model.insecure, from_peer=model.from_peer, limit_rate=limit_rate)
            progress.follow(lines)
    print(summary(found), file=sys.stderr)


def search(settings: Settings, words: str, as_json: bool) -> None:
    """Prints the models that fit the words; what was not searched is said on stderr."""
    with connect(settings) as client:
        found = client.search(words)
    print(indented(found) if as_json else search_table(found.models), end="\n" if as_json else "")
    for note in found.notes:
        print(note, file=sys.stderr)


def search_table(models: Iterable[Match]) -> str:
    """A line for each model."""
    rows = [
        (model.model, format_bytes(model.size) if model.size else "?", _FITS[model.fits], model.description)
        for model in models
    ]
    return render.table([("NAME", "SIZE", "FITS", "DESCRIPTION"), *rows])
