"""Where everything goes. The only code that builds the installer's paths; it touches no disk.

    LIB/venv                    the private environment; LIB/venv/installed.json is written last
    LIB/install.log             what pip and the compiler said
    LIB/install.lock            held while an installer works
    LIB/wheels/<key>/           built llama-cpp-python, with --prefix
    BIN/ollamapy                the program

LIB is ~/.local/share/ollamapy and BIN ~/.local/bin, or with --prefix DIR/lib/ollamapy and DIR/bin. Without
--prefix the wheels are in ~/.cache/ollamapy/wheels. OLLAMAPY_WHEELS names another folder for them in all cases.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_USER_DATA = {"darwin": "Library/Application Support"}


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one installation. `home` is where the installed program keeps models, history and logs."""

    prefix: Path | None
    lib: Path
    program: Path
    wheels: Path
    home: Path
    wheels_are_named: bool
    home_is_named: bool
    """True when a variable named the folder: what else it holds is not ours."""

    @classmethod
    def of(cls, prefix: Path | None, env: Mapping[str, str], user: Path, platform: str = sys.platform) -> Self:
        """The places for `--prefix` (None: below `user`, the person's home folder)."""
        named = env.get("OLLAMAPY_WHEELS", "")
        if prefix:
            lib, program, home = (prefix / name / "ollamapy" for name in ("lib", "bin", "share"))
            wheels = Path(named).absolute() if named else lib / "wheels"
        else:
            lib = _folder(env, "XDG_DATA_HOME", user / ".local" / "share") / "ollamapy"
            program, wheels = user / ".local" / "bin" / "ollamapy", cached_wheels(env, user)
            home = _folder(env, "XDG_DATA_HOME", user / _USER_DATA.get(platform, ".local/share")) / "ollamapy"
        named_home = env.get("OLLAMAPY_HOME", "")
        home = Path(named_home).expanduser() if named_home else home
        return cls(prefix, lib, program, wheels, home, bool(named), bool(named_home))

    @property
    def default_home(self) -> Path | None:
        """What the program of a prefix takes as its home when OLLAMAPY_HOME names no other."""
        return self.prefix / "share" / "ollamapy" if self.prefix else None

    @property
    def venv(self) -> Path:
        return self.lib / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.venv / "installed.json"

    @property
    def log(self) -> Path:
        return self.lib / "install.log"

    @property
    def lock(self) -> Path:
        return self.lib / "install.lock"


def cached_wheels(env: Mapping[str, str], user: Path) -> Path:
    """The folder of built wheels that installations without a prefix and the tests share."""
    named = env.get("OLLAMAPY_WHEELS", "")
    return Path(named).absolute() if named else _folder(env, "XDG_CACHE_HOME", user / ".cache") / "ollamapy" / "wheels"


def _folder(env: Mapping[str, str], variable: str, default: Path) -> Path:
    """As the XDG rules say: a relative path in the variable counts as not set."""
    named = Path(env.get(variable, ""))
    return named if named.is_absolute() else default
