"""kill -9 of the daemon at random moments of create, import, gc and delete: nothing is damaged, and all goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import daemon_deaths

MOMENTS = 20


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["create", "import", "gc", "delete"])
def test_a_killed_daemon_leaves_whole_models_and_the_verb_succeeds_when_called_again(tmp_path: Path, verb: str) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, daemon_deaths.__file__, verb, str(tmp_path), str(MOMENTS)]

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"deaths": MOMENTS}
