"""kill -9 of the daemon at random moments of every verb that writes: nothing is damaged, and all goes on.

OLLAMAPY_TEST_KILLS sets the number of moments of each. test_e2e_oci_kills.py kills pulls while bytes come; the program
that is called here can kill them too, at lines of the code.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import daemon_deaths

MOMENTS = int(os.environ.get("OLLAMAPY_TEST_KILLS", "20"))


@pytest.mark.slow
@pytest.mark.timeout(120 + 40 * MOMENTS)
@pytest.mark.parametrize("verb", ["create", "import", "gc", "delete", "push"])
def test_a_killed_daemon_leaves_whole_models_and_the_verb_succeeds_when_called_again(tmp_path: Path, verb: str) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, daemon_deaths.__file__, verb, str(tmp_path), str(MOMENTS)]

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100 + 40 * MOMENTS)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"deaths": MOMENTS}
