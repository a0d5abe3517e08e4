"""`python -m scripts.lib.bar [ROW ...]`: measures the rows in turn and prints a line of Markdown for each ratio."""

import asyncio
import sys

from ollamapy.bench.processes import load_average, processor_name
from ollamapy.cores import num_cores
from ollamapy.errors import Error, NotFound, Unsupported
from scripts.lib.bar.finding import Finding
from scripts.lib.bar.ground import Ground, NotYet, ground
from scripts.lib.bar.rows import ROWS, explain

QUIET = 0.5


def main(words: list[str]) -> int:
    """The exit code: 1 when a row could not be measured, 2 for a row that there is not. A missed bar is a result."""
    if "--list" in words:
        for name, row in ROWS.items():
            print(f"{name:<14}{row.__doc__}")
        return 0
    if unknown := [word for word in words if word not in ROWS]:
        print(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    load = load_average()
    print(f"{processor_name()}, {num_cores()} cores, load average {load:.2f} before\n")
    if load > QUIET:
        print(f"warning: the machine is not quiet (load average {load:.2f}); the figures will say so", file=sys.stderr)
    print("| row | ratio of | measured | bar | | both sides |\n| --- | --- | --- | --- | --- | --- |", flush=True)
    with ground() as here:
        return max([_row(here, name) for name in words or ROWS])


def _row(here: Ground, name: str) -> int:
    print(f"{name}: {ROWS[name].__doc__}", file=sys.stderr)
    try:
        for finding in asyncio.run(_measured(here, name)):
            print(line(name, finding), flush=True)
    except (NotYet, Unsupported, NotFound) as error:
        print(f"| {name} | | not there yet | | | {error} |", flush=True)
    except Error as error:
        print(f"| {name} | | failed | | | {explain(error)} |", flush=True)
        return 1
    return 0


async def _measured(here: Ground, name: str) -> list[Finding]:
    return await ROWS[name](here)


def line(name: str, found: Finding) -> str:
    """A row of the table."""
    verdict = "pass" if found.is_met else "**miss**"
    return f"| {name} | {found.what} | {found.value:.2f} | {found.wanted} | {verdict} | {found.detail} |"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
