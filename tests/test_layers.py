"""Guards the layers: who may import whom, by which door a third-party package enters, and that no cycle exists.

TABLE is the law; the code below only reads imports (also those inside functions and under TYPE_CHECKING) and compares.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ollamapy"

LEAVES = frozenset({"errors", "names", "units", "settings", "data", "child", "cores", "pictures"})

# Layer: what it may import besides the standard library, the leaves and itself. An entry with a dot is one module of a
# package. msgspec is a codec, not a layer's business: it stands wherever JSON or YAML is read or written.
TABLE: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "names": frozenset(),
    "units": frozenset(),
    "settings": frozenset({"platformdirs"}),
    "data": frozenset(),
    "child": frozenset(),
    "cores": frozenset(),
    "pictures": frozenset(),
    "wire": frozenset({"msgspec"}),
    "modelfile": frozenset({"wire", "msgspec", "jinja2"}),
    "store": frozenset({"wire", "msgspec"}),
    "weights": frozenset({"wire", "gguf", "numpy"}),
    "remotes": frozenset({"wire", "msgspec", "httpx", "yaml"}),
    "engines": frozenset({"wire", "msgspec"}),
    "pool": frozenset({"wire", "engines"}),
    "actions": frozenset({"wire", "msgspec", "modelfile", "store", "weights", "remotes", "pool", "engines.base"}),
    "dialects": frozenset({"wire", "msgspec"}),
    "server": frozenset({"wire", "msgspec", "actions", "dialects", "aiohttp"}),
    "client": frozenset({"wire", "msgspec", "httpx"}),
    "bench": frozenset({"wire", "msgspec", "aiohttp"}),
    "cli": frozenset({"wire", "client", "bench", "modelfile", "typer", "rich", "prompt_toolkit"}),
    "runner": frozenset({"wire", "msgspec", "numpy"}),
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}

# Module: what it alone may import on top of its layer.
DOORS: dict[str, frozenset[str]] = {
    "weights.quantize": frozenset({"llama_cpp"}),
    "engines.http": frozenset({"httpx"}),
    "remotes.oci.auth": frozenset({"cryptography"}),
    "server.daemon": frozenset({"store", "remotes", "pool", "engines"}),
    "cli.serve": frozenset({"server"}),
    "cli.adopt": frozenset({"store"}),
    "cli.store": frozenset({"store"}),
    "cli.config": frozenset({"remotes.hosts"}),
    "remotes.hub": frozenset({"huggingface_hub"}),
    "remotes.discovery": frozenset({"zeroconf", "ifaddr"}),
    "bench.plot": frozenset({"matplotlib"}),
    "bench.llama_server": frozenset({"xllamacpp"}),
    "actions.metrics": frozenset({"prometheus_client"}),
    "runner.llama": frozenset({"llama_cpp"}),
    "runner.batch": frozenset({"llama_cpp"}),
    "runner.sampler": frozenset({"llama_cpp"}),
    "runner.vocabulary": frozenset({"llama_cpp"}),
    "runner.embedder": frozenset({"llama_cpp"}),
    "runner.chain": frozenset({"llama_cpp"}),
    "runner.abort": frozenset({"llama_cpp"}),
    "runner.context": frozenset({"llama_cpp"}),
    "runner.weights": frozenset({"llama_cpp"}),
    "runner.projector": frozenset({"llama_cpp", "PIL"}),
}

# Module: what it may import inside a function only, because the import is slow and most callers do without.
INSIDE_FUNCTIONS: dict[str, frozenset[str]] = {"cli.serve": frozenset({"server"})}


@dataclass(frozen=True)
class Import:
    """One imported name. `target` is dotted, without the package's own name; `line` is where it stands."""

    target: str
    line: int
    is_ours: bool
    is_in_function: bool


def violations(package: Path) -> list[str]:
    """Every broken rule of the tree, as a sentence that names the file and line."""
    modules = {_module(package, path): path for path in sorted(package.rglob("*.py"))}
    imports = {module: list(_imports(package, path, modules)) for module, path in modules.items()}
    broken = [f"{module}: {complaint}" for module in modules for complaint in _complaints(module, imports[module])]
    graph = {module: {found.target for found in imports[module] if found.is_ours} - {module} for module in modules}
    return broken + [f"cycle: {' -> '.join(cycle)}" for cycle in _cycles(graph)]


def _module(package: Path, path: Path) -> str:
    """`cli.app` for cli/app.py, `cli` for cli/__init__.py, `__init__` for the package itself."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _complaints(module: str, imports: list[Import]) -> Iterator[str]:
    layer = module.split(".")[0]
    if layer not in TABLE:
        yield "is in no layer of the table"
        return
    ours = TABLE[layer] | DOORS.get(module, frozenset()) | {layer, "__init__"} | LEAVES
    late = INSIDE_FUNCTIONS.get(module, frozenset())
    for found in imports:
        names = {found.target, found.target.split(".")[0]}
        if not names & (ours if found.is_ours else ours - TABLE.keys()):
            yield f"line {found.line}: may not import {found.target}"
        elif names & late and not found.is_in_function:
            yield f"line {found.line}: may import {found.target} inside a function only"


def _imports(package: Path, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """All imports of the file but those from the standard library."""
    tree = ast.parse(path.read_text())
    in_functions = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        for dotted in _dotted_names(node, package, path):
            top, _, rest = dotted.partition(".")
            if top == package.name:
                yield Import(_longest_module(rest, modules), node.lineno, True, id(node) in in_functions)
            elif top not in sys.stdlib_module_names:
                yield Import(dotted, node.lineno, False, id(node) in in_functions)


def _dotted_names(node: ast.AST, package: Path, path: Path) -> list[str]:
    """What the node imports: `import a.b`, `from a import b`, `from . import b`, `import_module("a.b")`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = (package.name, *path.relative_to(package).parent.parts)
        base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
        origin = ".".join(part for part in (base, node.module) if part)
        return [f"{origin}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
            return [node.args[0].value]
    return []


def _longest_module(dotted: str, modules: dict[str, Path]) -> str:
    """The module that `dotted` names or that the name is taken from: `store.layout.Layout` is of `store.layout`."""
    parts = dotted.split(".") if dotted else []
    for end in range(len(parts), 0, -1):
        if (name := ".".join(parts[:end])) in modules:
            return name
    return "__init__"


def _cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """One cycle for every import that leads back to a module whose imports are being followed."""
    done: set[str] = set()
    found: list[list[str]] = []

    def follow(module: str, trail: list[str]) -> None:
        if module in trail:
            found.append([*trail[trail.index(module) :], module])
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                follow(target, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        follow(module, [])
    return found


def test_every_import_is_one_the_layers_allow() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("store/blobs.py", "import httpx", "store.blobs: line 1: may not import httpx"),
        ("store/blobs.py", "from ollamapy.weights import gguf", "store.blobs: line 1: may not import weights.gguf"),
        ("store/blobs.py", "def f():\n    import aiohttp.web", "store.blobs: line 2: may not import aiohttp.web"),
        ("actions/pull.py", "from ..server import daemon", "actions.pull: line 1: may not import server.daemon"),
        (
            "actions/pull.py",
            "from ollamapy.engines.local import start",
            "actions.pull: line 1: may not import engines.local",
        ),
        ("cli/app.py", "import importlib\nimportlib.import_module(module)", None),
        (
            "cli/app.py",
            "import importlib\nimportlib.import_module('ollamapy.server.daemon')",
            "may not import server.daemon",
        ),
        ("cli/app.py", "from ollamapy.server import daemon", "cli.app: line 1: may not import server.daemon"),
        ("cli/serve.py", "from ollamapy.server import daemon", "may import server.daemon inside a function only"),
        ("cli/serve.py", "def f():\n    from ollamapy.server import daemon", None),
        ("runner/loop.py", "import llama_cpp", "runner.loop: line 1: may not import llama_cpp"),
        ("runner/llama.py", "import llama_cpp", None),
        (
            "server/native.py",
            "from ollamapy.store.blobs import Blobs",
            "server.native: line 1: may not import store.blobs",
        ),
        ("server/daemon.py", "from ollamapy.store.blobs import Blobs", None),
        ("units.py", "import typing\nif typing.TYPE_CHECKING:\n    import rich", "units: line 3: may not import rich"),
        ("remotes/wheel.py", "from pip._internal import main", "may not import pip._internal.main"),
        ("store/blobs.py", "import wire", "store.blobs: line 1: may not import wire"),
        ("extra/odd.py", "", "extra.odd: is in no layer of the table"),
        ("wire/native.py", "from ollamapy.errors import Error\nfrom ollamapy import __version__\nimport msgspec", None),
    ],
)
def test_a_tree_is_refused_for_the_import_that_breaks_a_layer(
    tmp_path: Path, module: str, text: str, complaint: str | None
) -> None:
    package = _tree(tmp_path, {module: text})

    found = violations(package)

    assert found == [] if complaint is None else len(found) == 1 and complaint in found[0]


def test_modules_that_import_each_other_are_a_cycle_even_inside_functions(tmp_path: Path) -> None:
    first = "from ollamapy.store import prune"
    second = "def f():\n    from ollamapy.store.blobs import Blobs"
    package = _tree(tmp_path, {"store/blobs.py": first, "store/prune.py": second})

    assert violations(package) == ["cycle: store.blobs -> store.prune -> store.blobs"]


def _tree(folder: Path, files: dict[str, str]) -> Path:
    """A package with a bit of every layer that the cases import from, and the files given."""
    package = folder / "ollamapy"
    usual = ["errors.py", "weights/gguf.py", "server/daemon.py", "engines/local.py", "store/blobs.py", "__init__.py"]
    for name, text in {**dict.fromkeys(usual, ""), **files}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package
