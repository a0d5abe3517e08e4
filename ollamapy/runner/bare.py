"""Lets `llama_cpp.llama_cpp` be imported without the package around it, which the runner never uses.

The package imports a template engine, a database and a process pool: 10 MB of memory in every runner.
"""

import importlib.util
import sys
from importlib.metadata import version
from types import ModuleType


def use_bare_llama_cpp() -> None:
    """To be called before the first import of llama_cpp; else it does nothing."""
    spec = None if "llama_cpp" in sys.modules else importlib.util.find_spec("llama_cpp")
    if spec is None:
        return
    package = ModuleType("llama_cpp")
    package.__path__ = list(spec.submodule_search_locations or ())
    package.__dict__["__version__"] = version("llama_cpp_python")
    sys.modules["llama_cpp"] = package
