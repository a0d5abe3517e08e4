"""`ollamapy pull`: models by name, in turn or left to the daemon, and everything that is outdated."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ollamapy.cli import progress
from ollamapy.cli.daemon import connect
from ollamapy.cli.sources import refresh
from ollamapy.errors import InvalidInput
from ollamapy.settings import Settings


@dataclass(frozen=True, slots=True)
class Flags:
    """How each model is pulled; `limit_rate` is in bytes a second, 0 for no limit."""

    insecure: bool = False
    from_peer: str = ""
    as_: str = ""
    limit_rate: int = 0


def pull(settings: Settings, models: Sequence[str], flags: Flags, *, everything: bool, detach: bool) -> None:
    """Fetches each model in turn, with progress on stderr; the first that cannot be fetched ends it.

    With `everything` those that are outdated. With `detach` the daemon is told, and the numbers of its jobs printed.
    """
    _check(models, flags, everything=everything, detach=detach)
    with connect(settings) as client:
        if everything:
            refresh(client, flags.limit_rate)
        for model in models:
            if detach:
                job = client.begin_pull(model, **asdict(flags))
                print(f"job {job.id} pulls {job.model}")
                continue
            if len(models) > 1:
                print(f"{model}:", file=sys.stderr)
            progress.follow(client.pull(model, **asdict(flags)))


def _check(models: Sequence[str], flags: Flags, *, everything: bool, detach: bool) -> None:
    """Raises InvalidInput for words that make no sense together."""
    if everything and (models or detach or flags.as_ or flags.from_peer):
        raise InvalidInput("--all pulls what is outdated from where it came: it takes no MODEL and only --limit-rate")
    if not everything and not models:
        raise InvalidInput("requires at least 1 arg(s), only received 0")
    if flags.as_ and len(models) > 1:
        raise InvalidInput("--as names one model, found several", hint="pull them one by one")
