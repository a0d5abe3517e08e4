"""kill -9 at any moment of a put, link, copy or delete leaves whole models, and nothing for ever."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import store_story
from fakes.store_story import STATES, look, tell

from ollamapy.store.store import Store

_PROGRAM = [sys.executable, store_story.__file__]
_ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("stride", [pytest.param(47, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)])
def test_a_death_at_any_line_of_the_store_leaves_whole_models(tmp_path, stride):
    command = [*_PROGRAM, "lines", str(tmp_path / "models"), str(stride)]

    done = subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout.removeprefix("deaths ")) > 500 // stride


def test_a_death_at_a_random_moment_leaves_whole_models(tmp_path):
    """The same directory dies again and again, so that what one death leaves meets the next."""
    root = tmp_path / "models"
    chance = random.Random(7)

    for _ in range(12):
        command = [*_PROGRAM, "loop", str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=_ENVIRONMENT) as process:
            for _ in range(chance.randrange(1, 4)):
                assert process.stdout.readline().startswith(b"turn")
            process.kill()

        look(root)


def test_the_story_itself_ends_well(tmp_path: Path):
    """Without a death every state is passed through, so that the two tests above look at something."""
    root = tmp_path / "models"
    seen = []

    class Watched(Store):
        def link(self, *args, **options):
            result = super().link(*args, **options)
            self.see()
            return result

        def copy(self, *args):
            super().copy(*args)
            self.see()

        def delete(self, *args):
            super().delete(*args)
            self.see()

        def see(self):
            names = self.manifests.names()
            seen.append({name.short: self.resolve(name).model_path.read_bytes() for name in names})

    tell(Watched(root))

    assert seen == [*STATES[1:], STATES[0]]
    look(root)
