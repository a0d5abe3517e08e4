"""What must be on the system before anything is built. A lack is one sentence with the command that mends it here."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec

from talk import Stop

_COMPILER = {
    "apt-get": "apt-get install build-essential",
    "dnf": "dnf install gcc-c++",
    "zypper": "zypper install gcc-c++",
    "pacman": "pacman -S gcc",
    "apk": "apk add build-base linux-headers",
}
_VENV = {"apt-get": f"apt-get install python3.{sys.version_info.minor}-venv"}


def compiler(env: Mapping[str, str]) -> None:
    """Raises Stop when no C and C++ compiler is there."""
    if sys.platform == "darwin":
        if subprocess.run(["xcode-select", "-p"], capture_output=True, check=False).returncode:
            raise Stop(
                "compiling llama.cpp needs Apple's command line tools; install them with: xcode-select --install"
            )
        return
    for variable, names in (("CC", ("cc", "gcc", "clang")), ("CXX", ("c++", "g++", "clang++"))):
        named = env.get(variable, "").split()[:1]
        if not any(shutil.which(name) for name in named or names):
            found = f" ({variable} names {named[0]})" if named else ""
            raise Stop(f"compiling llama.cpp needs a C++ compiler, and there is none{found}; {_mend(_COMPILER)}")


def environments() -> None:
    """Raises Stop when this Python cannot make virtual environments (Debian packs that part separately)."""
    if find_spec("ensurepip") is None or find_spec("venv") is None:
        raise Stop(f"{sys.executable} lacks the venv module; {_mend(_VENV)}")


def _mend(commands: Mapping[str, str]) -> str:
    """`install it with: COMMAND`, for the package manager of this system."""
    for manager, command in commands.items():
        if shutil.which(manager):
            return f"install it with: {'' if os.geteuid() == 0 else 'sudo '}{command}"
    return "install it with the package manager of this system"
