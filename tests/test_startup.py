"""Guards how fast the command line starts: people wait for it before every command."""

import resource
import subprocess
import sys

SLOW_PACKAGES = {"aiohttp", "gguf", "httpx", "jinja2", "llama_cpp", "numpy", "prompt_toolkit", "yaml"}
HELP = ("-m", "ollamapy", "--help")
TYPER = ("-c", "import typer")


def test_help_takes_less_than_three_times_what_importing_typer_takes() -> None:
    """A ratio of the least processor times, so that it holds on slow and busy machines."""
    _seconds(HELP)  # writes the bytecode that later starts read
    pairs = [(_seconds(HELP), _seconds(TYPER)) for _ in range(9)]
    ours, typer = (min(times) for times in zip(*pairs, strict=True))

    assert ours < 3 * typer, f"--help took {ours:.3f} s, importing typer {typer:.3f} s"


def test_help_imports_no_package_that_only_some_commands_need() -> None:
    report = subprocess.run(
        [sys.executable, "-X", "importtime", *HELP], capture_output=True, text=True, check=True
    ).stderr
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in report.splitlines()}

    assert "typer" in imported
    assert imported & SLOW_PACKAGES == set()


def test_the_daemon_imports_nothing_that_only_a_pull_or_a_key_needs() -> None:
    """Each takes some ten megabytes of a process that is there all day."""
    listing = "import ollamapy.server.daemon, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()

    assert "aiohttp" in loaded
    assert {"httpx", "cryptography", "rich", "numpy", "gguf", "llama_cpp"} & set(loaded) == set()


def _seconds(arguments: tuple[str, ...]) -> float:
    """The processor time of a run; waiting for a disk or for others does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
