"""How many processor cores this process may use. Reads the kernel's tables; decides nothing."""

import os
from pathlib import Path


def num_cores() -> int:
    """Physical cores that this process may run on: hyper-threads share the units that llama.cpp keeps busy."""
    cores = set()
    for cpu in os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text())
        except OSError:
            cores.add(str(cpu))
    return max(len(cores), 1)
