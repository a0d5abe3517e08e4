"""The commands that look after models: list, ps, show, push, cp, rm, stop, and `--version`.

Each asks the daemon and prints the answer: results on stdout, talk on stderr. Knows nothing about the disk.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from ollamapy import EMULATED_VERSION
from ollamapy.cli import progress, render
from ollamapy.cli import show as pages
from ollamapy.cli.daemon import connect
from ollamapy.client import Client
from ollamapy.errors import Error, NotFound
from ollamapy.names import ModelName
from ollamapy.settings import Settings
from ollamapy.wire.native import ListResponse, PsResponse, indented

_NOT_YOURS = "you are not authorized to push to this namespace, create the model under a namespace you own"


def version(settings: Settings) -> None:
    """Prints the daemon's API level, and a warning when it is not ours. Never starts a daemon."""
    try:
        with Client(settings.host.client_url) as client:
            level = client.version().version
    except Error:
        print("Warning: could not connect to a running Ollama instance")
        print(f"Warning: client version is {EMULATED_VERSION}")
        return
    print(f"ollama version is {level}")
    if level != EMULATED_VERSION:
        print(f"Warning: client version is {EMULATED_VERSION}")


def list_models(settings: Settings, prefix: str, as_json: bool) -> None:
    """Prints the models whose name begins with `prefix`, in any case."""
    with connect(settings) as client:
        models = matching(client, prefix)
    if as_json:
        print(indented(models))
    else:
        print(render.list_table(models.models, datetime.now(UTC)), end="")


def list_running(settings: Settings, prefix: str, as_json: bool) -> None:
    """Prints the loaded models whose name begins with `prefix`."""
    with connect(settings) as client:
        answer = client.ps()
    models = tuple(model for model in answer.models if model.name.startswith(prefix))
    if as_json:
        print(indented(PsResponse(models=models)))
    else:
        print(render.ps_table(models, datetime.now(UTC)), end="")


def show(settings: Settings, model: str, fields: Sequence[str], is_verbose: bool, as_json: bool) -> None:
    """Prints a model's page, or the one field asked for."""
    pages.check_fields(fields)
    with connect(settings) as client:
        answer = client.show(model, verbose=is_verbose)
    if as_json:
        print(indented(answer))
    elif fields:
        print(pages.one_field(answer, fields[0]), end="")
    else:
        print(pages.page(answer, is_verbose=is_verbose), end="")


def push(settings: Settings, model: str, insecure: bool, format: str = "") -> None:
    """Brings a model to its registry, with progress on stderr, and says where it is."""
    with connect(settings) as client:
        try:
            progress.follow(client.push(model, insecure=insecure, format=format))
        except Error as error:
            if "access denied" in error.message or "unauthorized" in error.message:
                raise Error(_NOT_YOURS, hint=error.hint) from error
            raise
    print(f"\nYou can find your model at:\n\n\t{_destination(ModelName.parse(model))}")


def _destination(name: ModelName) -> str:
    """Where people look for a model that was pushed."""
    if name.host.endswith((".ollama.ai", ".ollama.com")):
        return f"https://ollama.com/{name.short.removesuffix(':latest')}"
    return name.full


def stop(settings: Settings, model: str) -> None:
    """Asks for a model to be unloaded. Raises NotFound."""
    with connect(settings) as client:
        try:
            client.stop(model)
        except NotFound as error:
            raise NotFound(f'couldn\'t find model "{model}" to stop') from error


def copy(settings: Settings, source: str, destination: str) -> None:
    with connect(settings) as client:
        client.copy(source, destination)
    print(f"copied '{source}' to '{destination}'")


def remove(settings: Settings, models: Sequence[str]) -> None:
    """Unloads and deletes each model in turn; the first that cannot be deleted ends it."""
    with connect(settings) as client:
        for model in models:
            try:
                client.stop(model)
            except NotFound:
                pass  # The delete says so.
            except Error:
                print(f"Warning: unable to stop model '{model}'", file=sys.stderr)
            client.delete(model)
            print(f"deleted '{model}'")


def names(settings: Settings, prefix: str) -> list[str]:
    """The names of installed models, for completion: none when no daemon answers."""
    try:
        with Client(settings.host.client_url) as client:
            return [model.name for model in matching(client, prefix).models]
    except Error:
        return []


def matching(client: Client, prefix: str) -> ListResponse:
    """The installed models whose name begins with `prefix`, in any case."""
    answer = client.list()
    wanted = prefix.lower()
    models = tuple(model for model in answer.models if model.name.lower().startswith(wanted))
    return ListResponse(models=models)
