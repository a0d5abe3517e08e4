"""Guards the wheel: what ships in it, and that an installation made from it finds its data."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without asking an index."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT)
    return next(folder.glob("ollamapy-*.whl"))


def test_the_wheel_holds_every_file_of_the_package_and_its_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.relative_to(ROOT).as_posix() for path in _files(ROOT / "ollamapy")}
    for folder in ("modelfiles", "registry"):
        wanted |= {f"ollamapy/_data/{path.relative_to(ROOT).as_posix()}" for path in _files(ROOT / folder)}

    assert {"ollamapy/_data/registry/catalogue.yaml", "ollamapy/_data/registry/echo.gguf"} <= wanted
    assert wanted - names == set()


def test_the_wheel_holds_nothing_but_the_package_and_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0].partition("-")[0] for name in names} == {"ollamapy"}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    assert [name for name in names if name.endswith("/licenses/LICENSE")]


def test_the_wheel_names_the_program(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        name = next(name for name in opened.namelist() if name.endswith("/entry_points.txt"))
        text = opened.read(name).decode()

    assert text.split() == ["[console_scripts]", "ollamapy", "=", "ollamapy.cli.app:main"]


def test_an_installation_from_the_wheel_finds_its_data_inside_itself(wheel: Path, tmp_path: Path) -> None:
    _run(*PIP, "install", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "from ollamapy import data\n"
        "print(data.folder('modelfiles'), data.folder('registry'), sep='\\n')"
    )
    modelfiles, registry = map(Path, _run(sys.executable, "-P", "-c", code, cwd=tmp_path).split())

    assert modelfiles.is_relative_to(tmp_path)
    assert len(list(modelfiles.glob("*.modelfile"))) >= 6
    assert (registry / "catalogue.yaml").read_text() == (ROOT / "registry" / "catalogue.yaml").read_text()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
