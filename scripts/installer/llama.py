"""llama-cpp-python: a wheel per backend, built once and kept in a folder of our own.

pip's own cache keeps one build per version and would hand a CPU build to a CUDA installation, so it is not used for
this package. A folder's name holds what a build depends on besides its version: backend, machine, the processor's
vector instructions (the build uses all this processor has) and the user's CMAKE_ARGS.
"""

import hashlib
import platform
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import needs
from backend import NAMES, Choice, Facts, build_env
from locks import held
from source import LLAMA
from steps import Steps
from talk import StepFailed

_VECTOR = re.compile(r"(avx|amx|sse|ssse|fma|f16c|bmi|gfni|vaes|vpclmul|asimd|sve|sme|i8mm|bf16|fphp)\w*")


def folder_name(backend: str, machine: str, processor: str, env: Mapping[str, str]) -> str:
    """E.g. `cpu-x86_64-1a2b3c4d`. `processor` is the text of /proc/cpuinfo, or empty."""
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", processor, re.M)
    vector = sorted({flag for flag in (flags[1] if flags else "").split() if _VECTOR.fullmatch(flag)})
    parts = [*vector, platform.libc_ver()[0], env.get("CMAKE_ARGS", "")]
    return f"{backend}-{machine}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}"


def processor() -> str:
    """What Linux tells about the processor; empty elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Llama:
    """llama-cpp-python as one installation wants it."""

    requirement: str
    choice: Choice
    facts: Facts
    wheels: Path
    """The folder for this backend and machine."""

    def install(self, python: Path, steps: Steps) -> None:
        """Puts it into the environment of `python`, from the kept wheel or a new one."""
        with held(self.wheels / ".lock", "Another installation is building llama.cpp; waiting for it") as lock:
            install = [*pip(python, "--isolated"), "install", "--no-index", "--find-links", self.wheels]
            install += ["--no-deps", "--force-reinstall", self.requirement]
            if any(self.wheels.glob("*.whl")) and steps.attempt("Installing llama.cpp, built before", install):
                return
            self._get_wheel(python, replace(steps, keep_open=(*steps.keep_open, lock)))
            steps.run("Installing llama.cpp", install)

    def _get_wheel(self, python: Path, steps: Steps) -> None:
        """A prebuilt one where the index has one for this backend, else one that is built here."""
        with tempfile.TemporaryDirectory(dir=self.wheels, prefix=".building-") as folder:
            command = [*pip(python), "wheel", "--no-deps", "--wheel-dir", folder, self.requirement]
            prebuilt = [*command, "--only-binary", ":all:"]
            if not (self._takes_prebuilt(steps.env) and steps.attempt("Looking for a prebuilt llama.cpp", prebuilt)):
                needs.compiler(steps.env)
                title = f"Compiling llama.cpp for {NAMES[self.choice.backend]} (some minutes, once)"
                build = [*command, "-v", "--no-cache-dir", "--no-binary", LLAMA]
                self._build(title, build, steps)
            self._keep(next(Path(folder).glob("*.whl")))

    def _build(self, title: str, command: list[str | Path], steps: Steps) -> None:
        try:
            steps.run(title, command, build_env(self.choice.backend, self.facts, steps.env))
        except StepFailed as stop:
            hint = "" if self.choice.backend == "cpu" else "\nTo do without the GPU: ./install.sh --backend cpu"
            raise StepFailed(f"{stop}{hint}", stop.code) from stop

    def _takes_prebuilt(self, env: Mapping[str, str]) -> bool:
        """A wheel does not say its backend: for CUDA and Vulkan the index could hand out the CPU's."""
        usual = "metal" if self.facts.system == "Darwin" else "cpu"
        return self.choice.backend == usual and "CMAKE_ARGS" not in env

    def _keep(self, wheel: Path) -> None:
        for old in self.wheels.glob("*.whl"):
            old.unlink()
        wheel.replace(self.wheels / wheel.name)


def pip(python: Path, *flags: str) -> list[str | Path]:
    """The start of a pip command in the environment of `python`."""
    return [python, "-Es", "-m", "pip", "--disable-pip-version-check", "--no-input", *flags]
