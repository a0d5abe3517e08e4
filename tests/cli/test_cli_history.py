"""The history file."""

import stat
from pathlib import Path

from ollamapy.cli import history


def test_what_was_appended_is_read_back_without_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "home" / "history"
    for entry in ("one", "two\n\nthree", "  "):
        history.append(file, entry)

    assert history.read(file) == ["one", "two", "three"]


def test_only_the_last_hundred_lines_stay(tmp_path: Path) -> None:
    file = tmp_path / "history"
    history.write(file, [str(number) for number in range(99)])
    history.append(file, "a\nb\nc")

    assert history.read(file) == [str(number) for number in range(2, 99)] + ["a", "b", "c"]


def test_nobody_else_may_read_it_even_when_it_was_open_before(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text("old\n")
    file.chmod(0o644)

    history.append(file, "new")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["history"]


def test_there_may_be_no_file_and_odd_bytes(tmp_path: Path) -> None:
    assert history.read(tmp_path / "history") == []

    (tmp_path / "history").write_bytes(b"a\xff\nb\n")
    assert history.read(tmp_path / "history") == ["a\ufffd", "b"]
