"""What llama.cpp is built for. `choose` decides from facts alone; `look` gathers the facts of this machine.

The choice, the first that fits (`--backend` decides by hand instead):
  1. Apple silicon                                                          metal
  2. an NVIDIA GPU that nvidia-smi lists, and nvcc                          cuda
  3. a Vulkan device, glslc and the headers of Vulkan and SPIR-V            vulkan
  4. otherwise                                                              cpu
Tools are for building: a backend that is installed stays while its device is there, with or without them.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from talk import Stop

NAMES = {"cpu": "the CPU", "cuda": "CUDA", "metal": "Metal", "vulkan": "Vulkan"}
_LEAN = Path(__file__).parent / "lean.cmake"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found. Empty texts: not found. `vulkan_lacks` lists the parts of the Vulkan SDK that are not there."""

    system: str
    machine: str
    nvidia_gpu: str = ""
    nvcc: str = ""
    vulkan_device: str = ""
    vulkan_lacks: tuple[str, ...] = ()

    @property
    def is_apple_silicon(self) -> bool:
        return self.system == "Darwin" and self.machine == "arm64"


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend and why, as a half-sentence."""

    backend: str
    reason: str
    by_hand: bool = False

    def __str__(self) -> str:
        return f"llama.cpp for {NAMES[self.backend]}: {self.reason}"


def choose(facts: Facts, wanted: str = "auto", installed: str = "") -> Choice:
    """The backend to build for. Raises Stop when `wanted` cannot be built here."""
    if wanted != "auto":
        _refuse_what_cannot_be_built(facts, wanted)
        return Choice(wanted, "chosen by hand", by_hand=True)
    if facts.is_apple_silicon:  # 1
        return Choice("metal", "this is Apple silicon")
    if facts.nvidia_gpu and (facts.nvcc or installed == "cuda"):  # 2
        return Choice("cuda", f"found {facts.nvidia_gpu} and nvcc")
    if facts.vulkan_device and (not facts.vulkan_lacks or installed == "vulkan"):  # 3
        return Choice("vulkan", f"found {facts.vulkan_device} and the Vulkan SDK")
    return Choice("cpu", _why_cpu(facts))  # 4


def _why_cpu(facts: Facts) -> str:
    if facts.system == "Darwin":
        return "this is not Apple silicon"
    if facts.nvidia_gpu:
        return f"found {facts.nvidia_gpu} but no nvcc (install the CUDA toolkit and run this again to use it)"
    if facts.vulkan_device:
        lacks = ", ".join(facts.vulkan_lacks)
        return f"found {facts.vulkan_device} but not what building for Vulkan needs ({lacks})"
    return "no GPU found"


def _refuse_what_cannot_be_built(facts: Facts, wanted: str) -> None:
    if wanted == "metal" and facts.system != "Darwin":
        raise Stop("Metal exists on macOS only; leave --backend out, or take cpu, cuda or vulkan")
    if wanted == "cuda" and not facts.nvcc:
        raise Stop("the CUDA backend needs nvcc, which is not on the PATH: install NVIDIA's CUDA toolkit")
    if wanted == "vulkan" and facts.vulkan_lacks:
        raise Stop(f"the Vulkan backend needs {', '.join(facts.vulkan_lacks)}: install the Vulkan SDK")


def build_env(backend: str, facts: Facts, env: Mapping[str, str]) -> dict[str, str]:
    """The variables that make llama-cpp-python's build take this backend. The user's CMAKE_ARGS come last, and win."""
    flags = ["-DGGML_NATIVE=ON", f"-DCMAKE_PROJECT_INCLUDE={_LEAN}", *_FLAGS[backend]]
    args = " ".join([*map(shlex.quote, flags), env.get("CMAKE_ARGS", "")]).strip()
    return {"CMAKE_ARGS": args, **({"CUDACXX": facts.nvcc} if backend == "cuda" else {})}


_FLAGS = {
    "cpu": ("-DOLLAMAPY_METAL=OFF",),
    "cuda": ("-DGGML_CUDA=ON",),
    "metal": ("-DGGML_METAL=ON",),
    "vulkan": ("-DGGML_VULKAN=ON", "-DOLLAMAPY_METAL=OFF"),
}


def look(env: Mapping[str, str]) -> Facts:
    """The facts of this machine. Asks nvidia-smi and vulkaninfo when they are there; never fails."""
    system, machine = os.uname().sysname, os.uname().machine
    if system == "Darwin":
        return Facts(system, machine, vulkan_lacks=_vulkan_lacks(env))
    return Facts(system, machine, _nvidia_gpu(), _nvcc(env), _vulkan_device(), _vulkan_lacks(env))


def _nvidia_gpu() -> str:
    match = re.search(r"^GPU \d+: (.*?)(?: \(UUID.*)?$", _output("nvidia-smi", "-L"), re.M)
    return match[1] if match else ""


def _nvcc(env: Mapping[str, str]) -> str:
    """nvcc from the PATH, or from where NVIDIA's own installer puts it without adding it to the PATH."""
    toolkits = [env.get("CUDACXX"), *(f"{env[name]}/bin/nvcc" for name in ("CUDA_HOME", "CUDA_PATH") if env.get(name))]
    for candidate in ("nvcc", *toolkits, "/usr/local/cuda/bin/nvcc"):
        if candidate and (found := shutil.which(candidate)):
            return found
    return ""


def _vulkan_device() -> str:
    """The first device that is not a CPU in disguise. Without vulkaninfo, a render node is taken for one."""
    if not shutil.which("vulkaninfo"):
        return "a GPU" if any(Path("/dev/dri").glob("renderD*")) else ""
    kind = ""
    for line in _output("vulkaninfo", "--summary").splitlines():
        name, _, value = (part.strip() for part in line.partition("="))
        if name == "deviceType":
            kind = value
        elif name == "deviceName" and kind.endswith("_GPU"):
            return value
    return ""


def _vulkan_lacks(env: Mapping[str, str]) -> tuple[str, ...]:
    roots = [env.get("VULKAN_SDK", ""), "/usr", "/usr/local", "/opt/homebrew"]
    headers = {"Vulkan's headers": "vulkan/vulkan.h", "SPIR-V's headers": "spirv/unified1/spirv.hpp"}
    lacks = [] if shutil.which("glslc") else ["glslc"]
    for what, header in headers.items():
        if not any(Path(root, "include", header).exists() for root in roots if root):
            lacks.append(what)
    return tuple(lacks)


def _output(*command: str) -> str:
    """What the command printed, or nothing when it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
