"""`ollamapy jobs`: the daemon's pulls in a table, and the words that pause, resume and cancel one."""

from collections.abc import Iterable

from ollamapy.cli import render
from ollamapy.cli.daemon import connect
from ollamapy.client import Client
from ollamapy.errors import InvalidInput
from ollamapy.settings import Settings
from ollamapy.units import format_bytes
from ollamapy.wire.jobs import JobList, ListedJob
from ollamapy.wire.native import indented

ACTIONS = {"pause": Client.pause_job, "resume": Client.resume_job, "cancel": Client.cancel_job}


def jobs(settings: Settings, action: str, number: str, as_json: bool) -> None:
    """Prints every job, or the one that something is done to. Raises InvalidInput for words that make no sense."""
    if action and action not in ACTIONS:
        raise InvalidInput(f"unknown action {action!r}", hint="ollamapy jobs [pause|resume|cancel ID]")
    if action and not number:
        raise InvalidInput(f"which job is to {action}?", hint="ollamapy jobs lists them with their numbers")
    with connect(settings) as client:
        found = JobList((ACTIONS[action](client, number),)) if action else client.jobs()
    print(indented(found) if as_json else table(found.jobs), end="\n" if as_json else "")


def table(found: Iterable[ListedJob]) -> str:
    """A line for each job; what went wrong stands at its end."""
    return render.table([("ID", "MODEL", "STATUS", "DONE", "SIZE", "RATE"), *map(_row, found)])


def _row(job: ListedJob) -> tuple[str, ...]:
    done = f"{100 * job.completed // job.total}%" if job.total else ""
    rate = f"{format_bytes(job.bytes_per_second)}/s" if job.bytes_per_second else ""
    size = format_bytes(job.total) if job.total else ""
    return (str(job.id), job.model, job.status, done, size, rate, *([job.error] if job.error else []))
