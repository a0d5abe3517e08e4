"""The command line: its commands, their flags and help, and how errors end it. Does no work of its own.

Every command imports what it needs when it runs, so that help and completion stay quick.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, NoReturn

import typer
import typer.main

from ollamapy import __version__
from ollamapy.cli import argv
from ollamapy.cli.variables import help_section
from ollamapy.errors import Error
from ollamapy.settings import Settings

PROGRAM = "ollamapy"
ALIASES = {"ls": "list", "start": "serve"}
INTERRUPTED = 130

app = typer.Typer(
    name=PROGRAM,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Runs the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Runs one command and returns the exit code: 0, 1 for every error, 130 when Ctrl-C stopped it."""
    group = typer.main.get_command(app)
    try:
        result = group.main(argv.normalise(words, program(group)), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except Error as error:
        return _report(error.message, error.hint)
    except OSError as error:
        return _report(f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror or error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def program(group: Any) -> argv.Program:
    """What Typer knows about the commands, as the table that `argv` reads."""
    commands = {name: _command(name, command.params) for name, command in group.commands.items()}
    return argv.Program(_command(PROGRAM, group.params), commands, ALIASES)


def _command(name: str, params: Sequence[Any]) -> argv.Command:
    arguments = [param for param in params if param.param_type_name == "argument"]
    flags = tuple(_flag(param) for param in params if param.param_type_name == "option")
    has_rest = any(param.nargs == -1 for param in arguments)
    required = sum(param.required for param in arguments)
    return argv.Command(name, flags, required, None if has_rest else len(arguments))


def _flag(option: Any) -> argv.Flag:
    """A metavar that begins with `[=` marks a flag whose value is optional."""
    name = next(spelling for spelling in option.opts if spelling.startswith("--"))
    short = next((spelling for spelling in option.opts if not spelling.startswith("--")), "")
    if option.is_flag:
        return argv.Flag(name, argv.Takes.SWITCH, short)
    is_optional = (option.metavar or "").startswith("[=")
    return argv.Flag(name, argv.Takes.OPTIONAL if is_optional else argv.Takes.VALUE, short)


def _report(text: str, hint: str = "") -> int:
    print(f"Error: {text}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return 1


def _installed_models(incomplete: str) -> list[str]:
    """Names for the shell's completion."""
    from ollamapy.cli.models import names

    return names(Settings.from_env(), incomplete)


def _switch(name: str, text: str) -> Any:
    return typer.Option(*name.split("/"), help=text, show_default=False)


def _value(name: str, metavar: str, text: str) -> Any:
    return typer.Option(*name.split("/"), metavar=metavar, help=text, show_default=False)


Model = Annotated[str, typer.Argument(metavar="MODEL", show_default=False, autocompletion=_installed_models)]
NewModel = Annotated[str, typer.Argument(metavar="MODEL", show_default=False)]
Prefix = Annotated[list[str] | None, typer.Argument(show_default=False, metavar="PREFIX")]
Json = Annotated[bool, _switch("--json", "Print the API's answer as JSON")]
Insecure = Annotated[bool, _switch("--insecure", "Use an insecure registry")]
Verbose = Annotated[bool, _switch("--verbose/-v", "Show detailed model information")]


@app.callback(
    invoke_without_command=True,
    epilog=f'Use "{PROGRAM} COMMAND --help" for more about a command. This is ollamapy {__version__}.',
)
def root(
    context: typer.Context,
    version: Annotated[bool, _switch("--version/-v", "Show version information")] = False,
) -> None:
    """Large language model runner"""
    if version:
        from ollamapy.cli.models import version as show_version

        show_version(Settings.from_env())
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command(epilog=help_section("serve"))
def serve(
    offline: Annotated[bool, _switch("--offline", "Make no connection to other machines")] = False,
) -> int:
    """Start Ollama"""
    from ollamapy.cli.serve import serve as serve_forever

    settings = Settings.from_env()
    return serve_forever(replace(settings, offline=True) if offline else settings)


@app.command(epilog=help_section("create"))
def create(
    model: NewModel,
    file: Annotated[str, _value("--file/-f", "FILE", "Name of the Modelfile (default Modelfile)")] = "",
    quantize: Annotated[str, _value("--quantize/-q", "TYPE", "Quantize model to this level (e.g. q4_K_M)")] = "",
    draft_quantize: Annotated[str, _value("--draft-quantize", "TYPE", "Quantize draft model to this level")] = "",
    warm: Annotated[bool, _switch("--warm", "Compute SYSTEM and MESSAGEs now")] = False,
    experimental: Annotated[bool, _switch("--experimental", "Not supported")] = False,
) -> None:
    """Create a model"""
    from ollamapy.cli.create import create as create_model

    settings = Settings.from_env()
    create_model(settings, model, file, quantize, draft_quantize, warm=warm, experimental=experimental)


@app.command(epilog=help_section("show"))
def show(
    model: Model,
    license_: Annotated[bool, _switch("--license", "Show license of a model")] = False,
    modelfile: Annotated[bool, _switch("--modelfile", "Show Modelfile of a model")] = False,
    parameters: Annotated[bool, _switch("--parameters", "Show parameters of a model")] = False,
    template: Annotated[bool, _switch("--template", "Show template of a model")] = False,
    system: Annotated[bool, _switch("--system", "Show system message of a model")] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Show information for a model"""
    from ollamapy.cli.models import show as show_model

    flags = {"license": license_, "modelfile": modelfile, "parameters": parameters}
    flags |= {"system": system, "template": template}
    show_model(Settings.from_env(), model, [name for name, is_set in flags.items() if is_set], verbose, as_json)


@app.command("run", epilog=help_section("run"))
def run_model(
    model: Model,
    prompt: Annotated[list[str] | None, typer.Argument(metavar="PROMPT", show_default=False)] = None,
    keepalive: Annotated[str, _value("--keepalive", "DURATION", "How long to keep the model loaded (e.g. 5m)")] = "",
    verbose: Annotated[bool, _switch("--verbose", "Show timings for the answer")] = False,
    insecure: Insecure = False,
    nowordwrap: Annotated[bool, _switch("--nowordwrap", "Don't wrap words to the next line")] = False,
    format_: Annotated[str, _value("--format", "FORMAT", "Format of the answer: json, or a JSON schema")] = "",
    think: Annotated[
        str, _value("--think", "[=LEVEL]", "Think: true, false, high, medium, low or max (default true)")
    ] = "",
    hidethinking: Annotated[bool, _switch("--hidethinking", "Hide thinking output")] = False,
    truncate: Annotated[
        str, _value("--truncate", "[=BOOL]", "Embedding models: cut a text that is too long (default true)")
    ] = "",
    dimensions: Annotated[str, _value("--dimensions", "N", "Embedding models: length of the vector")] = "",
) -> None:
    """Run a model"""
    from ollamapy.cli import chat

    flags = chat.Flags(
        keep_alive=keepalive,
        is_verbose=verbose,
        insecure=insecure,
        word_wrap=not nowordwrap,
        format=format_,
        think=think,
        hide_thinking=hidethinking,
        truncate=truncate,
        dimensions=dimensions,
    )
    chat.run(Settings.from_env(), model, prompt or [], flags)


@app.command(epilog=help_section("stop"))
def stop(model: Model) -> None:
    """Stop a running model"""
    from ollamapy.cli.models import stop as stop_model

    stop_model(Settings.from_env(), model)


@app.command(epilog=help_section("pull"))
def pull(
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL...", show_default=False)] = None,
    insecure: Insecure = False,
    from_peer: Annotated[str, _value("--from-peer", "HOST", "Pull from another ollamapy, HOST or HOST:PORT")] = "",
    as_: Annotated[str, _value("--as", "NAME", "The name of the model that a URL brings")] = "",
    everything: Annotated[bool, _switch("--all", "Pull every pulled model that its source has newer")] = False,
    limit_rate: Annotated[str, _value("--limit-rate", "RATE", "Bytes a second at most, such as 5MB")] = "0",
    detach: Annotated[bool, _switch("--detach", "Leave the pull to the daemon, see jobs")] = False,
) -> None:
    """Pull a model from a registry"""
    from ollamapy.cli import pull as pulls
    from ollamapy.units import parse_rate

    flags = pulls.Flags(insecure, from_peer, as_, parse_rate(limit_rate))
    pulls.pull(Settings.from_env(), models or [], flags, everything=everything, detach=detach)


@app.command("jobs", epilog=help_section("jobs"))
def pull_jobs(
    action: Annotated[str, typer.Argument(metavar="pause|resume|cancel", show_default=False)] = "",
    number: Annotated[str, typer.Argument(metavar="ID", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """List the pulls in progress; pause, resume or cancel one"""
    from ollamapy.cli.jobs import jobs

    jobs(Settings.from_env(), action, number, as_json)


@app.command(epilog=help_section("outdated"))
def outdated(as_json: Json = False) -> None:
    """List pulled models that their sources have newer"""
    from ollamapy.cli import sources

    sources.outdated(Settings.from_env(), as_json)


@app.command(epilog=help_section("search"))
def search(
    words: Annotated[list[str] | None, typer.Argument(metavar="TERM", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Look for models to pull: in the catalogue, and on the Hugging Face hub"""
    from ollamapy.cli import sources

    sources.search(Settings.from_env(), " ".join(words or []), as_json)


@app.command(epilog=help_section("push"))
def push(
    model: Model,
    insecure: Insecure = False,
    format: Annotated[str, _value("--format", "FORMAT", "docker writes Docker's model artefact")] = "",
) -> None:
    """Push a model to a registry"""
    from ollamapy.cli.models import push as push_model

    push_model(Settings.from_env(), model, insecure, format)


@app.command("list", epilog=help_section("list"))
def list_models(prefix: Prefix = None, as_json: Json = False) -> None:
    """List models"""
    from ollamapy.cli.models import list_models as show_list

    show_list(Settings.from_env(), "".join((prefix or [])[:1]), as_json)


@app.command(epilog=help_section("ps"))
def ps(prefix: Prefix = None, as_json: Json = False) -> None:
    """List running models"""
    from ollamapy.cli.models import list_running

    list_running(Settings.from_env(), "".join((prefix or [])[:1]), as_json)


@app.command("cp", epilog=help_section("cp"))
def copy(
    source: Annotated[str, typer.Argument(metavar="SOURCE", show_default=False, autocompletion=_installed_models)],
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", show_default=False)],
) -> None:
    """Copy a model"""
    from ollamapy.cli.models import copy as copy_model

    copy_model(Settings.from_env(), source, destination)


@app.command("rm", epilog=help_section("rm"))
def remove(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", show_default=False, autocompletion=_installed_models)
    ],
) -> None:
    """Remove a model"""
    from ollamapy.cli.models import remove as remove_models

    remove_models(Settings.from_env(), models)


@app.command(epilog=help_section("fsck"))
def fsck(
    deep: Annotated[bool, _switch("--deep", "Read every blob and compare it with its digest")] = False,
    repair: Annotated[bool, _switch("--repair", "Mend what can be mended: fetch again, set aside, remove")] = False,
    as_json: Json = False,
) -> int:
    """Check the model directory for damage"""
    from ollamapy.cli import care

    return care.fsck(Settings.from_env(), deep, repair, as_json)


@app.command(epilog=help_section("df"))
def df(as_json: Json = False) -> None:
    """Show what the models take of the disk"""
    from ollamapy.cli import care

    care.disk_usage(Settings.from_env(), as_json)


@app.command(epilog=help_section("gc"))
def gc() -> None:
    """Remove files that no model uses"""
    from ollamapy.cli import care

    care.collect(Settings.from_env())


@app.command(epilog=help_section("resolve"))
def resolve(model: Model) -> None:
    """Print where a model's files lie, as JSON"""
    from ollamapy.cli import care

    care.resolve(Settings.from_env(), model)


@app.command("export", epilog=help_section("export"))
def export_models(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", show_default=False, autocompletion=_installed_models)
    ],
    output: Annotated[
        str, _value("--output/-o", "FILE", "The archive to write, - for stdout (default models.tar)")
    ] = "models.tar",
) -> None:
    """Write models into one file (an OCI image layout)"""
    from ollamapy.cli.export import export

    export(Settings.from_env(), models, output)


@app.command("import", epilog=help_section("import"))
def import_models(
    file: Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="The archive, - for stdin")] = "-",
) -> None:
    """Take models out of a file that export wrote"""
    from ollamapy.cli.import_ import import_

    import_(Settings.from_env(), file)


@app.command(epilog=help_section("adopt"))
def adopt(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", show_default=False, help="Files and folders")
    ] = None,
    dry_run: Annotated[bool, _switch("--dry-run", "Only say what would be adopted")] = False,
) -> int:
    """Use models that Ollama, LM Studio, Hugging Face or a folder have, in place where the disk allows"""
    from ollamapy.cli.adopt import adopt as adopt_models

    return adopt_models(Settings.from_env(), paths or [], dry_run)


@app.command(epilog=help_section("store"))
def store(
    action: Annotated[str, typer.Argument(metavar="move", show_default=False)],
    folder: Annotated[str, typer.Argument(metavar="DIR", show_default=False, help="An empty or new folder")],
) -> None:
    """Move the model directory, while no daemon uses it"""
    from ollamapy.cli.store import store as work_on_store

    work_on_store(Settings.from_env(), action, folder)


@app.command("config", epilog=help_section("config"))
def configuration(action: Annotated[str, typer.Argument(metavar="check", show_default=False)]) -> None:
    """Check the configuration file, config.yaml in ollamapy's folder"""
    from ollamapy.cli.config import config

    config(Settings.from_env(), action)


@app.command(epilog=help_section("bench"))
def bench(
    model: Model,
    clients: Annotated[
        str, _value("--clients", "N,…", "Numbers of clients at once (default 1,2,4,8,16)")
    ] = "1,2,4,8,16",
    prompt_tokens: Annotated[int, _value("--prompt-tokens", "N", "Length of each prompt (default 128)")] = 128,
    output_tokens: Annotated[int, _value("--output-tokens", "N", "Length of each answer (default 64)")] = 64,
    shared_prefix: Annotated[int, _value("--shared-prefix", "N", "Length of a system prompt that all share")] = 0,
    turns: Annotated[int, _value("--turns", "N", "Turns of each client's chat (default 1)")] = 1,
    url: Annotated[str, _value("--url", "URL", "Measure the server at this address instead of the daemon")] = "",
    api: Annotated[str, _value("--api", "API", "What it speaks: ollama or openai (default: it is asked)")] = "",
    against: Annotated[
        str, _value("--against", "PEER", "Compare in turn with a URL, llama-server or llama-server:SLOTS")
    ] = "",
    json: Annotated[str, _value("--json", "FILE", "Write the result as JSON")] = "",
    plot: Annotated[str, _value("--plot", "FILE", "Draw the result as a PNG")] = "",
    history: Annotated[bool, _switch("--history", "Compare with earlier results of the same work")] = False,
) -> None:
    """Measure how fast a model is served"""
    from ollamapy.bench.plan import Workload
    from ollamapy.cli import bench as benchmark

    workload = Workload(prompt_tokens, output_tokens, shared_prefix, turns)
    flags = benchmark.Flags(clients, workload, url, api, against, json, plot, history)
    benchmark.run(Settings.from_env(), model, flags)
