"""Files and folders that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolrs_cli.durable import replace_whole, write_whole, written_aside


@pytest.mark.parametrize("write", [write_whole, replace_whole])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, write) -> None:
    path = tmp_path / "file"
    for content in ("one", "zwei \N{LATIN SMALL LETTER U WITH DIAERESIS}"):
        write(path, content)
        assert path.read_text(encoding="utf-8") == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_on_its_way_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def be_killed_half_way() -> None:
        with written_aside(path) as aside:
            aside.write_bytes(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_killed_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_and_over_what_a_killed_process_left(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "left over").touch()
    folder.mkdir()
    with written_aside(folder) as aside:
        aside.mkdir()
        (aside / "weights").write_text("1")
        assert not any(folder.iterdir())
    assert [path.name for path in folder.iterdir()] == ["weights"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_something_in_it_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(OSError, match="not empty"), written_aside(folder) as aside:
        aside.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "mine").exists()
