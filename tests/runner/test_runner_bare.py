"""llama.cpp's ctypes layer without the package around it."""

import subprocess
import sys

import pytest
from fakes.runner_process import environment

pytestmark = pytest.mark.weights

PROGRAM = """
from ollamapy.runner.bare import use_bare_llama_cpp
use_bare_llama_cpp()
use_bare_llama_cpp()
import sys
import llama_cpp
import llama_cpp.llama_cpp as native
native.llama_backend_init()
print(llama_cpp.__version__, native.llama_max_parallel_sequences(), "jinja2" in sys.modules, "sqlite3" in sys.modules)
"""


def test_the_native_functions_come_without_the_packages_own_imports() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment())

    version, *rest = done.stdout.split()
    assert version[:1].isdigit()
    assert rest == ["256", "False", "False"]
