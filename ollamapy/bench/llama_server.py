"""llama.cpp's own server, from the package xllamacpp, in a process of its own: `python -m ollamapy.bench.llama_server`.

Reads one line of JSON, `Start`, from stdin; prints one, `Started`, when it listens; ends when stdin does. Knows nothing
of benchmarks. Native prints go to stderr, so that they cannot break the line.
"""

import os
import re
import sys

import msgspec


class Start(msgspec.Struct, frozen=True):
    """How to start it. `num_ctx` is of all slots together, 0 the model's own; `is_unified` lets slots share it."""

    path: str
    num_slots: int
    num_ctx: int
    num_threads: int
    is_unified: bool = False
    is_embedding: bool = False


class Started(msgspec.Struct, frozen=True):
    url: str = ""
    build: str = ""
    """The release, and the instructions that it was compiled for."""
    error: str = ""


def main() -> None:
    """Serves until stdin ends."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)
        try:
            server, started = _start(msgspec.json.decode(sys.stdin.buffer.readline(), type=Start))
        except Exception as error:  # whatever it is, the parent must hear of it
            server, started = None, Started(error=f"{type(error).__name__}: {error}")
        out.write(msgspec.json.encode(started) + b"\n")
        sys.stdin.buffer.read()
    del server


def _start(wanted: Start) -> tuple[object, Started]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = wanted.path
    params.n_parallel = wanted.num_slots
    params.kv_unified = wanted.is_unified
    params.n_ctx = wanted.num_ctx
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wanted.num_threads
    params.embedding = wanted.is_embedding
    params.verbosity = 0
    server = xllamacpp.Server(params)
    instructions = re.findall(r"(\w+) = 1", xllamacpp.get_system_info())
    return server, Started(server.listening_address, f"xllamacpp {xllamacpp.__version__}, {' '.join(instructions)}")


if __name__ == "__main__":
    main()
