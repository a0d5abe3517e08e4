"""Processes as /proc shows them."""

import os
import socket
import subprocess
import sys

import pytest

from ollamapy.bench import processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows other processes in /proc")


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_process_behind_a_port_is_found(family: socket.AddressFamily, address: str) -> None:
    with socket.socket(family) as server:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        server.listen()

        assert processes.listener(server.getsockname()[1]) == os.getpid()


def test_a_port_without_a_listener_is_nobodys() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        assert processes.listener(bound.getsockname()[1]) == 0


def test_children_of_children_are_found_and_weighed() -> None:
    command = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(flush=True, end=chr(10)); input()'])"
    )
    with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = processes.children(os.getpid())

        assert child.pid in found
        assert len([pid for pid in processes.children(child.pid) if processes.resident_bytes(pid)]) == 1
        assert processes.resident_bytes(child.pid) > 1_000_000
        child.communicate(b"\n")


def test_a_process_that_is_gone_weighs_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()

    assert processes.resident_bytes(child.pid) == 0
    assert processes.children(child.pid) == []


def test_the_machine_has_a_name() -> None:
    assert processes.processor_name()
