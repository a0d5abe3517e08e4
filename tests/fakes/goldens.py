"""Golden files: what a test's output was when somebody last looked. `scripts/golden` writes them anew."""

import os
from pathlib import Path

IS_WRITING = os.environ.get("OLLAMAPY_GOLDEN") == "write"
FOLDER = Path(__file__).parents[1] / "golden"


def check(path: Path, text: str) -> None:
    """Asserts that `path` holds `text`, or writes it there when goldens are being written."""
    if IS_WRITING:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"there is no {path.name}: scripts/golden writes it"

    assert path.read_text(encoding="utf-8") == text, f"{path.name} differs: scripts/golden shows how"
