"""`ollamapy store move`: the one command that works on the model directory itself, while no daemon does."""

from pathlib import Path

from ollamapy import units
from ollamapy.cli import progress
from ollamapy.errors import InvalidInput
from ollamapy.settings import Settings
from ollamapy.store.move import move
from ollamapy.wire.native import Progress


def store(settings: Settings, action: str, folder: str) -> None:
    """Moves the model directory into `folder`. Raises InvalidInput, StoreError, also when a daemon uses it."""
    if action != "move":
        raise InvalidInput(f'unknown action "{action}", there is only move')
    target = Path(folder).expanduser().absolute()
    size = 0
    with progress.display() as shown:

        def on_file(path: Path, size_bytes: int) -> None:
            nonlocal size
            size += size_bytes
            shown.update(Progress(f"moving {path.name}"))

        num_models = move(settings.models, target, on_file)
    print(f"moved {num_models} models, {units.format_bytes(size)}, to {target}")
    print(f"set OLLAMA_MODELS={target} for the daemon from now on")
