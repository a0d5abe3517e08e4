"""`ollamapy bench`: reads the flags, has the benchmark run and shown, prints what it found, keeps the result.

Results go to stdout, talk to stderr. Measures nothing itself.
"""

import asyncio
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ollamapy import __version__
from ollamapy.bench import history, peer, plan, plot, report
from ollamapy.bench.compare import Bench
from ollamapy.bench.load import Load
from ollamapy.bench.plan import Workload
from ollamapy.bench.processes import load_average, processor_name
from ollamapy.bench.result import Machine, Point, Result
from ollamapy.cli import render
from ollamapy.cli.bench_view import View
from ollamapy.cli.daemon import connect
from ollamapy.cores import num_cores
from ollamapy.errors import InvalidInput
from ollamapy.modelfile import parse
from ollamapy.settings import Settings
from ollamapy.units import format_utc


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says; an empty text is a flag that was not given."""

    clients: str
    workload: Workload
    url: str = ""
    api: str = ""
    against: str = ""
    json: str = ""
    plot: str = ""
    history: bool = False

    def check(self) -> None:
        """Raises InvalidInput, and Unsupported for what is not installed, before anything runs."""
        plan.parse_clients(self.clients)
        self.workload.check()
        if self.api not in {"", "ollama", "openai"}:
            raise InvalidInput(f'--api must be "ollama" or "openai", not {self.api!r}')
        if self.plot:
            plot.check()
        if peer.parse(self.against, "") and self.url:
            raise InvalidInput(
                f"--against {peer.NAME} runs the file of a model of our own daemon, and --url names another server",
                hint=f"start {peer.NAME} yourself and give its address to --against",
            )


def run(settings: Settings, model: str, flags: Flags) -> None:
    """Measures and prints. Ctrl-C ends it without a result."""
    flags.check()
    machine = Machine(processor_name(), num_cores(), platform.platform(terse=True), load_average())
    rival = None
    if not flags.url:
        with connect(settings) as client:
            rival = peer.parse(flags.against, _weights(client.show(model).modelfile))
    url = flags.url or settings.host.client_url
    try:
        points = asyncio.run(_measure(url, model, flags, rival))
    except KeyboardInterrupt:
        print("stopped: nothing was kept of this benchmark", file=sys.stderr)
        raise
    when = format_utc(time.time())
    _tell(settings, flags, Result(when, __version__, model, url, machine, flags.workload, tuple(points)))


def _weights(modelfile: str) -> str:
    """The file that a model's FROM names."""
    return next(command.value for command in parse.parse(modelfile).commands if command.name == "from")


async def _measure(url: str, model: str, flags: Flags, rival: peer.Peer | None) -> list[Point]:
    async with Load() as load:
        label, dialect = (url, flags.api) if flags.url else ("ollamapy", "ollama")
        target = await load.find(label, url, dialect, model)
        if flags.against and rival is None:
            rival = peer.Fixed(await load.find(flags.against, flags.against, "", model))
        with View(load).shown() as view:
            return await Bench(load, target, flags.workload, view, rival).measure(plan.parse_clients(flags.clients))


def _tell(settings: Settings, flags: Flags, result: Result) -> None:
    """Prints the table and the sentences, and writes the files."""
    kept = settings.home / "bench"
    before = history.before(kept, result)
    history.keep(kept, result)
    if flags.json:
        history.write(Path(flags.json), result)
    if flags.plot:
        plot.draw(result, Path(flags.plot))
    print(render.table(report.table(result.points)))
    print("\n".join(report.sentences(result)))
    if flags.history:
        rows = report.history(result, before)
        print(
            "\n" + (render.table(rows) if rows[1:] else f"Nothing like it was measured before; {kept} keeps this.\n"),
            end="",
        )
