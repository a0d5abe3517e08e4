"""The installer: what it decides, what it says when something is missing, and a whole life in a prefix.

The quick tests run ./install.sh --dry-run with a PATH of their own: fakes of nvidia-smi, nvcc and the like are real
programs in a folder. Nothing is compiled; the slow test needs the built wheel of llama.cpp that the tests share.
"""

import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
INSTALLER = ROOT / "scripts" / "installer"
USUAL = ("sh", "dirname", "id", "uname", "cat", "sed")

sys.path.insert(0, str(INSTALLER))

import backend  # noqa: E402
import llama  # noqa: E402
import places  # noqa: E402
import progress  # noqa: E402
from talk import Stop  # noqa: E402


class Machine:
    """A machine with an empty home, and on its PATH nothing but what a test put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.bin = folder / "bin"
        for path in (self.home, self.bin):
            path.mkdir()
        for name in USUAL:
            self.link(name, shutil.which(name) or name)

    def link(self, name: str, target: str) -> None:
        (self.bin / name).symlink_to(target)

    def program(self, name: str, script: str) -> None:
        """Puts a program on the PATH: the lines of a shell script."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def with_python(self) -> "Machine":
        self.link("python3", sys.executable)
        return self

    def env(self, **more: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": str(self.home), **more}

    def install(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs ./install.sh without a terminal."""
        command = [str(ROOT / "install.sh"), *words]
        return subprocess.run(
            command, env=self.env(**more), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    def plan(self, *words: str, **more: str) -> dict[str, str]:
        """What --dry-run says, by the word before the colon."""
        done = self.install("--dry-run", *words, **more)
        assert done.returncode == 0, done.stderr
        rows = (line.partition(":") for line in done.stdout.splitlines())
        return {name: value.strip() for name, _, value in rows}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def linux(**found: object) -> backend.Facts:
    return backend.Facts("Linux", "x86_64", **found)  # type: ignore[arg-type]


# What it builds for


@pytest.mark.parametrize(
    ("facts", "chosen", "reason"),
    [
        (backend.Facts("Darwin", "arm64"), "metal", "Apple silicon"),
        (backend.Facts("Darwin", "x86_64"), "cpu", "not Apple silicon"),
        (linux(nvidia_gpu="GeForce", nvcc="/usr/bin/nvcc"), "cuda", "GeForce"),
        (linux(nvidia_gpu="GeForce"), "cpu", "no nvcc"),
        (linux(nvcc="/usr/bin/nvcc"), "cpu", "no GPU found"),
        (linux(vulkan_device="Radeon"), "vulkan", "Radeon"),
        (linux(vulkan_device="Radeon", vulkan_lacks=("glslc",)), "cpu", "glslc"),
        (linux(nvidia_gpu="GeForce", nvcc="/x/nvcc", vulkan_device="GeForce"), "cuda", "GeForce"),
        (linux(), "cpu", "no GPU found"),
    ],
)
def test_the_backend_is_what_the_hardware_and_its_tools_allow(facts: backend.Facts, chosen: str, reason: str) -> None:
    choice = backend.choose(facts)

    assert choice.backend == chosen
    assert reason in choice.reason


def test_a_backend_stays_when_only_the_tools_it_was_built_with_are_gone() -> None:
    assert backend.choose(linux(nvidia_gpu="GeForce"), installed="cuda").backend == "cuda"
    assert backend.choose(linux(), installed="cuda").backend == "cpu"


@pytest.mark.parametrize(("wanted", "word"), [("metal", "macOS"), ("cuda", "nvcc"), ("vulkan", "glslc")])
def test_a_backend_chosen_by_hand_that_cannot_be_built_is_refused(wanted: str, word: str) -> None:
    with pytest.raises(Stop, match=word):
        backend.choose(linux(vulkan_lacks=("glslc",)), wanted)


def test_an_nvidia_gpu_with_nvcc_on_the_path_chooses_cuda(machine: Machine) -> None:
    machine.with_python().program("nvidia-smi", 'echo "GPU 0: NVIDIA L4 (UUID: GPU-1)"')
    machine.program("nvcc", "")

    plan = machine.plan()

    assert plan["build"] == "llama.cpp for CUDA: found NVIDIA L4 and nvcc"
    assert "/wheels/cuda-" in plan["wheels"]


def test_nvidia_smi_that_finds_no_gpu_chooses_the_cpu(machine: Machine) -> None:
    machine.with_python().program("nvidia-smi", 'echo "No devices were found"; exit 6')
    machine.program("nvcc", "")

    assert machine.plan()["build"].startswith("llama.cpp for the CPU")


def test_vulkans_software_device_is_not_a_device(machine: Machine) -> None:
    machine.with_python().program(
        "vulkaninfo", "echo 'deviceType = PHYSICAL_DEVICE_TYPE_CPU'; echo 'deviceName = llvmpipe'"
    )

    assert machine.plan()["build"] == "llama.cpp for the CPU: no GPU found"


def test_vulkan_is_chosen_for_a_device_with_its_sdk(machine: Machine) -> None:
    device = "echo 'deviceType = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU'; echo 'deviceName = Radeon'"
    machine.with_python().program("vulkaninfo", device)
    machine.program("glslc", "")
    for header in ("vulkan/vulkan.h", "spirv/unified1/spirv.hpp"):
        path = machine.folder / "sdk" / "include" / header
        path.parent.mkdir(parents=True)
        path.touch()

    plan = machine.plan(VULKAN_SDK=str(machine.folder / "sdk"))

    assert plan["build"] == "llama.cpp for Vulkan: found Radeon and the Vulkan SDK"


def test_the_users_cmake_flags_come_last_and_get_a_wheel_folder_of_their_own() -> None:
    flags = {"CMAKE_ARGS": "-DGGML_NATIVE=OFF"}

    args = backend.build_env("cpu", linux(), flags)["CMAKE_ARGS"]

    assert args.startswith("-DGGML_NATIVE=ON")
    assert args.endswith("-DGGML_NATIVE=OFF")
    assert llama.folder_name("cpu", "x86_64", "", flags) != llama.folder_name("cpu", "x86_64", "", {})


def test_a_wheel_folder_depends_on_the_processors_vector_instructions_and_not_on_its_other_flags() -> None:
    names = [
        llama.folder_name("cpu", "x86_64", f"processor : 0\nflags\t\t: {flags}\nbugs : x\n", {})
        for flags in ("fpu avx2 fma", "fma avx2 fpu ibpb", "fpu avx2 fma avx512f")
    ]

    assert names[0] == names[1] != names[2]


# Where it puts things


def test_everything_of_a_prefix_is_below_it(machine: Machine) -> None:
    prefix = machine.folder / "some where"

    plan = machine.with_python().plan("--prefix", str(prefix))

    assert plan["program"] == f"{prefix}/bin/ollamapy"
    assert {plan[name].startswith(f"{prefix}/") for name in ("environment", "program", "wheels")} == {True}


def test_without_a_prefix_it_uses_the_folders_of_the_xdg_rules(machine: Machine) -> None:
    plan = machine.with_python().plan(XDG_DATA_HOME="/data", XDG_CACHE_HOME="relative")

    assert plan["environment"] == "/data/ollamapy/venv"
    assert plan["program"] == f"{machine.home}/.local/bin/ollamapy"
    assert plan["wheels"].startswith(f"{machine.home}/.cache/ollamapy/wheels/")


@pytest.mark.parametrize("words", [(), ("--prefix", "/p")])
def test_the_wheels_can_be_kept_elsewhere(machine: Machine, words: tuple[str, ...]) -> None:
    assert machine.with_python().plan(*words, OLLAMAPY_WHEELS="/kept")["wheels"].startswith("/kept/")


@pytest.mark.parametrize(
    ("platform", "home"), [("linux", ".local/share/ollamapy"), ("darwin", "Library/Application Support/ollamapy")]
)
def test_the_models_are_looked_for_where_the_program_keeps_them(platform: str, home: str) -> None:
    found = places.Places.of(None, {}, Path("/home/me"), platform)

    assert found.home == Path("/home/me", home)


# What it says


def test_help_goes_to_stdout_and_names_every_flag(machine: Machine) -> None:
    done = machine.with_python().install("--help")

    assert done.returncode == 0
    assert all(flag in done.stdout for flag in ("--backend", "--prefix", "--uninstall", "--yes", "--dry-run"))
    assert './install.sh run starter "Why is the sky blue?"' in done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--nonsense",), "unknown flag --nonsense"),
        (("--backend",), "--backend needs a value"),
        (("--backend", "tpu"), "unknown backend tpu; it is one of: auto, cpu, cuda, metal, vulkan"),
        (("--prefix=", "run"), "--prefix needs a value"),
        (("--uninstall=yes",), "--uninstall takes no value"),
    ],
)
def test_a_flag_it_does_not_know_is_one_sentence_and_exit_code_2(
    machine: Machine, words: tuple[str, ...], complaint: str
) -> None:
    done = machine.with_python().install(*words)

    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_machine_without_python_is_told_the_command_that_brings_one(machine: Machine) -> None:
    machine.program("apt-get", "")

    done = machine.install()

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip().endswith("apt-get install python3 python3-venv")


def test_a_python_that_is_too_old_is_named(machine: Machine) -> None:
    machine.program("python3", 'case "$2" in *platform*) echo 3.9.2;; *) exit 1;; esac')
    machine.program("dnf", "")

    done = machine.install()

    assert done.returncode == 1
    assert "found only 3.9.2" in done.stderr
    assert "dnf install" in done.stderr


def test_a_python_shim_that_fails_is_passed_over(machine: Machine) -> None:
    machine.with_python().program("python3.13", "exit 127")

    assert machine.install("--help").returncode == 0


@pytest.mark.parametrize(
    ("manager", "check", "complaint", "command"),
    [
        ("apk", "needs.compiler(os.environ)", "needs a C++ compiler, and there is none; install", "apk add build-base"),
        ("apt-get", "needs.compiler(os.environ)", "needs a C++ compiler", "apt-get install build-essential"),
        ("apt-get", "needs.environments()", "lacks the venv module; install", "apt-get install python3."),
        ("pacman", "needs.environments()", "lacks the venv module; install", "the package manager of this system"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_command_that_mends_it(
    machine: Machine, manager: str, check: str, complaint: str, command: str
) -> None:
    machine.with_python().program(manager, "")
    code = "import os, sys; sys.modules['ensurepip'] = None; import needs, shell; shell.guarded(lambda: "

    said = run_code(f"{code}{check})", machine.env()).stderr

    assert complaint in said
    assert f"it with: {'' if os.geteuid() == 0 else 'sudo '}{command}" in said or command in said
    assert said.count("\n") == 1


def test_something_else_of_the_programs_name_is_left_alone(machine: Machine) -> None:
    other = machine.home / ".local" / "bin" / "ollamapy"
    other.parent.mkdir(parents=True)
    other.write_text("another program")

    done = machine.with_python().install()

    assert done.returncode == 1
    assert "~/.local/bin/ollamapy is there and belongs to something else" in done.stderr
    assert other.read_text() == "another program"
    assert not (machine.home / ".local" / "share").exists()


# How far it is


def test_progress_is_read_from_ninja_however_the_output_is_cut() -> None:
    text = (
        "  Downloading x.tar.gz (76 MB)\n  *** Configuring CMake...\n  [1/136] c++ a\nnote: [9/9]\n  [68/136] c++ b\n"
    )
    whole, pieces = progress.Progress(), progress.Progress()

    whole.feed(text)
    for letter in text:
        pieces.feed(letter)

    assert str(whole) == str(pieces) == "50 %, 68 of 136"


def test_progress_is_read_from_make_and_names_what_comes_before_and_after() -> None:
    state = progress.Progress()
    seen = []

    for line in ("Downloading a.whl\n", "*** Configuring CMake...\n", "[ 12%] Building b\n", "*** Making wheel...\n"):
        state.feed(line)
        seen.append(str(state))

    assert seen == ["downloading", "configuring", "12 %", "12 %, packing"]


def test_without_a_terminal_a_line_comes_every_tenth_or_every_quarter_minute() -> None:
    ticker = progress.Ticker()
    shown = [
        ticker.line(progress.Progress(percent), seconds)
        for percent, seconds in [(1, 1.0), (9, 2.0), (10, 3.0), (11, 4.0), (11, 18.5), (11, 40.0), (30, 41.0)]
    ]

    assert shown == [None, None, "  0:03  10 %", None, "  0:18  11 %", None, "  0:41  30 %"]


# How it ends


def test_a_step_that_fails_shows_the_end_of_the_log_and_its_place(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; import shell, steps; "
        f"shell.guarded(lambda: steps.Steps(Path({str(tmp_path / 'log')!r}), os.environ)"
        ".run('Compiling', ['sh', '-c', 'seq 100; exit 3']))"
    )

    said = run_code(code).stderr.splitlines()

    assert said == [
        "Compiling ...",
        *map(str, range(81, 101)),
        f"Compiling: failed (exit code 3); all of it is in {tmp_path / 'log'}",
    ]


def test_a_stopped_installer_takes_what_it_started_with_it(tmp_path: Path) -> None:
    """A pipe that all of them inherit tells when the last one is gone."""
    watched, inherited = os.pipe()
    code = (
        "import os; from pathlib import Path; import shell, steps, sys; "
        f"step = steps.Steps(Path({str(tmp_path / 'log')!r}), os.environ, ({inherited},)); "
        f"command = ['sh', '-c', 'sleep 600 & echo up > /dev/fd/{inherited}; wait']; "
        "sys.exit(shell.guarded(lambda: step.run('Compiling', command)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=installer_env(), stderr=subprocess.PIPE, text=True, pass_fds=(inherited,)
    ) as installer:
        os.close(inherited)
        assert os.read(watched, 9) == b"up\n"

        installer.terminate()
        said = installer.communicate()[1]

    assert installer.returncode == 143
    assert "Stopped; run it again to go on" in said
    assert os.read(watched, 9) == b""
    os.close(watched)


def test_a_second_installer_waits_for_the_first(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from locks import held\n"
        f"with held(Path({str(tmp_path / 'lock')!r}), 'waiting'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )

    with speaking(code) as first:
        assert first.stdout.readline() == "held\n"
        with speaking(code) as second:
            assert second.stdout.readline() == "waiting\n"
            first.communicate()
            assert second.stdout.readline() == "held\n"
            second.communicate()


def test_a_lock_outlives_its_holder_while_a_step_still_works(tmp_path: Path) -> None:
    """Or a second installer would clear away the environment that pip of a killed one still writes to."""
    lock, log = tmp_path / "lock", tmp_path / "log"
    holder = (
        "import os; from pathlib import Path; from locks import held; from steps import Steps\n"
        f"with held(Path({str(lock)!r}), '') as lock:\n"
        f"    command = ['sh', '-c', 'echo up; read x < {tmp_path}/go']\n"
        f"    Steps(Path({str(log)!r}), os.environ, (lock,)).run('Working', command)"
    )
    waiter = (
        f"from pathlib import Path; from locks import held\nwith held(Path({str(lock)!r}), 'waiting'): print('held')"
    )
    os.mkfifo(tmp_path / "go")

    with speaking(holder) as first:
        assert wait_for(lambda: log.exists() and log.read_text().endswith("up\n"))
        first.kill()
        with speaking(waiter) as second:
            assert second.stdout.readline() == "waiting\n"
            (tmp_path / "go").write_text("now\n")
            assert second.stdout.readline() == "held\n"


# Removing it


@pytest.fixture
def prefix(machine: Machine) -> Path:
    """A prefix as an installation leaves it, with a model of 5 MB."""
    prefix = machine.folder / "prefix"
    target = prefix / "lib" / "ollamapy" / "venv" / "bin" / "ollamapy"
    for path, text in {
        target: "",
        prefix / "bin" / "ollamapy": f'exec {target} "$@"\n',
        prefix / "bin" / "other": "not ours",
        prefix / "lib" / "ollamapy" / "install.log": "",
        prefix / "lib" / "ollamapy" / "wheels" / "cpu" / "a.whl": "",
        prefix / "share" / "ollamapy" / "models" / "blobs" / "a": "x" * 5_000_000,
        prefix / "share" / "ollamapy" / "logs" / "server.log": "",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return prefix


def left(prefix: Path) -> list[str]:
    return sorted(str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file())


MODELS = ["share/ollamapy/logs/server.log", "share/ollamapy/models/blobs/a"]


def test_uninstalling_without_a_person_keeps_the_models_and_says_so(machine: Machine, prefix: Path) -> None:
    done = machine.with_python().install("--prefix", str(prefix), "--uninstall")

    assert done.returncode == 0
    assert left(prefix) == ["bin/other", *MODELS]
    assert f"Kept the models in {prefix}/share/ollamapy/models (5 MB)" in done.stderr


def test_uninstalling_with_yes_removes_all_that_is_ours(machine: Machine, prefix: Path) -> None:
    done = machine.with_python().install("--uninstall", "--yes", "--prefix", str(prefix))

    assert done.returncode == 0
    assert left(prefix) == ["bin/other"]
    assert sorted(path.name for path in prefix.iterdir()) == ["bin"]


def test_models_that_were_kept_can_be_removed_later(machine: Machine, prefix: Path) -> None:
    machine.with_python().install("--prefix", str(prefix), "--uninstall")

    machine.install("--prefix", str(prefix), "--uninstall", "--yes")

    assert left(prefix) == ["bin/other"]


@pytest.mark.parametrize(("answer", "kept"), [("y\n", ["bin/other"]), ("\n", ["bin/other", *MODELS])])
def test_a_person_is_asked_about_the_models(machine: Machine, prefix: Path, answer: str, kept: list[str]) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [str(ROOT / "install.sh"), "--prefix", str(prefix), "--uninstall"]

    done = subprocess.run(
        command, env=machine.with_python().env(), stdin=theirs, capture_output=True, text=True, check=True
    )
    os.close(ours)
    os.close(theirs)

    assert f"Remove the models in {prefix}/share/ollamapy/models too (5 MB)? [y/N]" in done.stderr
    assert left(prefix) == kept


def test_uninstalling_ends_what_runs_from_the_environment(machine: Machine, prefix: Path) -> None:
    python = prefix / "lib" / "ollamapy" / "venv" / "bin" / "python"
    python.symlink_to(sys.executable)
    daemon = subprocess.Popen(
        [python, "-c", "print('up', flush=True); import time; time.sleep(600)"], stdout=subprocess.PIPE
    )
    assert daemon.stdout
    daemon.stdout.readline()
    with daemon:
        done = machine.with_python().install("--prefix", str(prefix), "--uninstall")

    assert "Ended the running daemon" in done.stderr
    assert daemon.returncode == -15


def test_a_named_home_without_models_is_left_alone(machine: Machine, prefix: Path) -> None:
    home = machine.folder / "mine"
    (home / "logs").mkdir(parents=True)

    machine.with_python().install("--prefix", str(prefix), "--uninstall", "--yes", OLLAMAPY_HOME=str(home))

    assert (home / "logs").exists()


def test_uninstalling_what_is_not_there_says_so(machine: Machine) -> None:
    done = machine.with_python().install("--uninstall")

    assert done.returncode == 0
    assert done.stderr == "ollamapy is not installed in ~/.local/share/ollamapy\n"
    assert list(machine.home.iterdir()) == []


# A whole life


@pytest.mark.slow
def test_an_installation_is_stopped_finished_used_upgraded_and_removed(tmp_path: Path) -> None:
    """From a copy of the checkout, so that an upgrade can be played; nothing may land outside the prefix."""
    checkout, prefix = copy_of_checkout(tmp_path), tmp_path / "prefix"
    env = {
        **os.environ,
        "OLLAMAPY_WHEELS": str(built_wheels()),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    install = [str(checkout / "install.sh"), "--prefix", str(prefix)]
    stamp = prefix / "lib" / "ollamapy" / "venv" / "installed.json"

    stopped = subprocess.Popen(install, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_for((prefix / "lib" / "ollamapy" / "venv" / "bin" / "python").exists)
    stopped.terminate()
    assert stopped.wait(120) == 143
    assert not stamp.exists()

    finished = run(install, env)
    assert "Installed ollamapy" in finished.stderr
    assert run([*install, "--", "--help"], env).stdout == run([prefix / "bin" / "ollamapy", "--help"], env).stdout

    written = stamp.stat().st_mtime_ns
    again = run([*install, "help"], env)
    assert (again.stderr, stamp.stat().st_mtime_ns) == ("", written), "nothing was installed again"

    changed = checkout / "ollamapy" / "__init__.py"
    changed.write_text(f"{changed.read_text()}\nNEWER = True\n")
    upgraded = run(install, env)
    assert "Installing ollamapy" in upgraded.stderr
    assert "llama.cpp, built before" not in upgraded.stderr
    assert "up to date" in run(install, env).stderr
    code = "import ollamapy, llama_cpp; print(ollamapy.NEWER, ollamapy.__file__)"
    imported = run([prefix / "lib" / "ollamapy" / "venv" / "bin" / "python", "-Pc", code], env).stdout
    assert imported.startswith(f"True {prefix}")

    run([*install, "--uninstall", "--yes"], env)
    assert not prefix.exists()
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "cache").exists()


def built_wheels() -> Path:
    """The folder of built wheels that the test environment was made from."""
    wheels = places.cached_wheels(os.environ, Path.home())
    facts = backend.look(os.environ)
    folder = wheels / llama.folder_name(backend.choose(facts).backend, facts.machine, llama.processor(), os.environ)
    if not list(folder.glob("*.whl")):
        do_without = pytest.fail if os.environ.get("OLLAMAPY_TEST_STRICT") == "1" else pytest.skip
        do_without(f"no built llama.cpp in {folder}, so nothing was installed; scripts/test makes one")
    return wheels


def copy_of_checkout(folder: Path) -> Path:
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("install.sh", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy / name)
    for name in ("ollamapy", "modelfiles", "registry", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run(command: list[str | Path], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    return done


def run_code(code: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Python code that may import the installer's modules."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=installer_env(env), capture_output=True, text=True, check=False)


def installer_env(env: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**(os.environ if env is None else env), "PYTHONPATH": str(INSTALLER), "PYTHONDONTWRITEBYTECODE": "1"}


def speaking(code: str) -> Any:
    """A Python process that runs the code, with its words and warnings in one stream."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, "-uc", code], env=installer_env(), text=True, **pipes)  # type: ignore[call-overload]


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
