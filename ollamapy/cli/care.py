"""The commands that look after the store: fsck, df, gc, resolve. Each asks the daemon and prints the answer."""

from collections.abc import Iterator

from ollamapy import units
from ollamapy.cli import progress, render
from ollamapy.cli.daemon import connect
from ollamapy.settings import Settings
from ollamapy.wire.care import DiskUsage, Fault, FsckLine, FsckReport
from ollamapy.wire.native import Progress, indented


def fsck(settings: Settings, deep: bool, repair: bool, as_json: bool) -> int:
    """Checks the store and prints every fault; 1 when one is left."""
    faults: list[Fault] = []
    last = FsckLine("")
    with connect(settings) as client, progress.display() as shown:
        for last in client.fsck(deep=deep, repair=repair):
            if last.fault and (last.status == "repairing") is repair:
                faults.append(last.fault)
            shown.update(Progress(last.status, total=last.total, completed=last.completed))
    if as_json:
        print(indented(FsckReport(last.num_models, last.num_blobs, last.num_repaired, tuple(faults))))
    else:
        print("".join(f"{line}\n" for line in _findings(faults, last, repair)), end="")
    return int(any(not fault.is_repaired for fault in faults))


def _findings(faults: list[Fault], last: FsckLine, repair: bool) -> Iterator[str]:
    for fault in faults:
        models = f" ({', '.join(fault.models)})" if fault.models else ""
        yield f"{fault.kind}: {fault.path}{models}: {fault.text}{f': {fault.repair}' if fault.repair else ''}"
    counted = f"{last.num_models} models, {last.num_blobs} blobs"
    if not faults:
        yield f"{counted}: all is well"
    elif repair:
        yield f"{counted}, {last.num_faults} faults, {last.num_repaired} of them repaired"
    else:
        yield f"{counted}, {last.num_faults} faults; ollamapy fsck --repair mends what can be mended"


def disk_usage(settings: Settings, as_json: bool) -> None:
    """Prints what each model takes, and what is shared, unused and free."""
    with connect(settings) as client:
        usage = client.disk_usage()
    print(indented(usage) if as_json else _usage_table(usage), end="\n" if as_json else "")


def _usage_table(usage: DiskUsage) -> str:
    size = units.format_bytes
    rows = [(model.model, size(model.size_bytes), size(model.unique_bytes)) for model in usage.models]
    totals = f"total {size(usage.total_bytes)}, shared {size(usage.shared_bytes)}, unused {size(usage.unused_bytes)}"
    return (
        render.table([("NAME", "SIZE", "UNIQUE"), *rows]) + f"{totals}, free {size(usage.free_bytes)}\n{usage.root}\n"
    )


def collect(settings: Settings) -> None:
    """Removes what no model uses."""
    with connect(settings) as client:
        removed = client.collect()
    print(f"removed {len(removed.files)} files, {units.format_bytes(removed.size_bytes)}")


def resolve(settings: Settings, model: str) -> None:
    """Prints where the files of a model lie, as JSON."""
    with connect(settings) as client:
        print(indented(client.resolve(model)))
