"""The cache of prepared data, token tables, and text that is read strictly."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autolrs_cli.errors import ConfigError
from autolrs_recipes.data import hub
from autolrs_recipes.data.cache import cache_root, content_hash, prepared
from autolrs_recipes.data.text_lines import MAX_LINE_BYTES, file_problems, read_lines
from autolrs_recipes.data.translation.token_table import TokenTable, write_token_table


class TestCache:
    def test_nothing_is_made_twice(self, tmp_path: Path) -> None:
        made = []

        def make(folder: Path) -> None:
            made.append(folder)
            (folder / "x").write_text("content")

        first = prepared(tmp_path, "kind", {"a": 1}, make)
        assert prepared(tmp_path, "kind", {"a": 1}, make) == first
        assert prepared(tmp_path, "kind", {"a": 2}, make) != first
        assert len(made) == 2
        assert (first / "x").read_text() == "content"

    def test_a_failed_preparation_leaves_nothing(self, tmp_path: Path) -> None:
        def fail(folder: Path) -> None:
            (folder / "half").write_text("...")
            raise ConfigError("no")

        with pytest.raises(ConfigError):
            prepared(tmp_path, "kind", {}, fail)
        assert [path for path in (tmp_path / "kind").iterdir() if path.suffix != ".lock"] == []

    def test_a_killed_preparation_starts_clean(self, tmp_path: Path) -> None:
        program = (
            "import sys, time; from pathlib import Path; from autolrs_recipes.data.cache import prepared\n"
            "def make(folder):\n"
            "    (folder / 'half').write_text('...'); print('made', flush=True); time.sleep(600)\n"
            "prepared(Path(sys.argv[1]), 'kind', {}, make)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        folder = prepared(tmp_path, "kind", {}, lambda folder: (folder / "whole").touch())
        assert sorted(path.name for path in folder.iterdir()) == [
            "ingredients.json",
            "manifest.json",
            "whole",
        ]

    def test_two_processes_make_it_once(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=_prepare_slowly, args=(tmp_path,)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert len(list(tmp_path.glob("made-by-*"))) == 1

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match=r"data\.cache_dir"):
            prepared(tmp_path / "file", "kind", {}, lambda _: None)

    def test_where_it_lies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AUTOLRS_CACHE_DIR", str(tmp_path / "variable"))
        assert cache_root(None) == tmp_path / "variable"
        assert cache_root(str(tmp_path / "given")) == tmp_path / "given"
        monkeypatch.delenv("AUTOLRS_CACHE_DIR")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_root(None).name == "autolrs"

    def test_the_hash_is_of_contents_in_order(self, tmp_path: Path) -> None:
        one, two, same = (tmp_path / name for name in "abc")
        one.write_text("1")
        two.write_text("2")
        same.write_text("1")
        assert content_hash([one]) == content_hash([same])
        assert len({content_hash([one, two]), content_hash([two, one]), content_hash([one])}) == 3


def _prepare_slowly(root: Path) -> None:
    def make(_: Path) -> None:
        (root / f"made-by-{os.getpid()}").touch()
        time.sleep(0.3)

    prepared(root, "kind", {}, make)


class TestTokenTable:
    ROWS = [[1, 2, 3], [], [4], [5, 6]] * 30

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(
            "autolrs_recipes.data.translation.token_table._ROWS_PER_CHUNK", 7
        )  # rows in many chunks
        path = tmp_path / "x.arrow"
        other = [[row[0]] if row else [0] for row in self.ROWS]
        batches = [{"a": self.ROWS[i : i + 11], "b": other[i : i + 11]} for i in range(0, len(self.ROWS), 11)]
        assert write_token_table(path, ["a", "b"], batches) == len(self.ROWS)
        return path

    def test_rows_come_back(self, path: Path) -> None:
        table = TokenTable(path, "a")
        assert len(table) == len(self.ROWS)
        assert [table[i].tolist() for i in range(len(table))] == self.ROWS
        assert table.lengths().tolist() == [len(row) for row in self.ROWS]
        assert TokenTable(path, "b")[2].tolist() == [4]

    def test_tokens_come_from_any_places_across_chunks(self, path: Path) -> None:
        joined = np.array([token for row in self.ROWS for token in row])
        places = np.random.default_rng(0).integers(len(joined), size=500)
        tokens = TokenTable(path, "a").at(places)
        assert tokens.dtype == np.int32
        assert tokens.tolist() == joined[places].tolist()

    def test_it_travels_by_path_not_by_content(self, path: Path) -> None:
        pickled = pickle.dumps(TokenTable(path, "a"))
        assert len(pickled) < 500
        assert pickle.loads(pickled)[3].tolist() == [5, 6]

    def test_values_are_mapped_not_copied(self, path: Path) -> None:
        row = TokenTable(path, "a")[0]
        assert not row.flags.owndata
        assert not row.flags.writeable
        assert row.dtype == np.int32


class TestText:
    def write(self, tmp_path: Path, content: bytes) -> Path:
        path = tmp_path / "text"
        path.write_bytes(content)
        return path

    def test_only_line_feeds_end_a_line(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "\ufeffone\r\ntwo\u2028half\x0b\n\nend".encode())
        assert list(read_lines(path)) == ["one", "two\u2028half\x0b", "", "end"]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("fine\nüber\n".encode("latin-1"), r"UTF-8, but line 2 of .*text is not: .* at byte 1.*iconv"),
            (b"a\nb\0c\n", r"NUL bytes, but line 2"),
            (b"a\n" + b"x" * (MAX_LINE_BYTES + 1), r"1,048,576 bytes at most, but line 2"),
        ],
    )
    def test_what_is_not_text_is_named(self, tmp_path: Path, content: bytes, told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            list(read_lines(self.write(tmp_path, content)))

    def test_a_wrong_path_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        cases = {
            str(tmp_path / "no"): "does not exist",
            str(tmp_path): "is not one",
            str(tmp_path / "empty"): "is empty",
            "a\0b": "does not exist",
            None: "must name a text file",
            3: "must name a text file",
        }
        for given, told in cases.items():
            (problem,) = file_problems("data.source", given, "one sentence a line")
            assert told in problem
            assert "data.source" in problem


class TestHub:
    """No network here: what a person on an offline machine is told."""

    def test_one_question_and_one_message(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        asked = []

        def unreachable(*_: object, **__: object) -> None:
            asked.append(1)
            raise ConnectionError("Name or service not known")

        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits to try again"))
        with pytest.raises(ConfigError) as caught:
            hub.load("data.name", "someone/some-data-that-nobody-has", "de-en", "train")
        (problem,) = caught.value.problems
        assert "data.name=someone/some-data-that-nobody-has" in problem
        assert 'load_dataset("someone/some-data-that-nobody-has", "de-en").save_to_disk("FOLDER")' in problem
        assert "set data.name=FOLDER" in problem
        assert asked == [1]

    def test_a_local_copy_needs_no_network(self, tmp_path: Path) -> None:
        import datasets

        rows = datasets.Dataset.from_dict({"text": ["one", "two"]})
        datasets.DatasetDict(train=rows, test=rows.select([0])).save_to_disk(str(tmp_path / "copy"))
        assert hub.load("data.name", str(tmp_path / "copy"), None, "train")["text"][:] == ["one", "two"]
        assert len(hub.load("data.name", str(tmp_path / "copy"), None, "test")) == 1
        with pytest.raises(ConfigError, match=r"split validation"):
            hub.load("data.name", str(tmp_path / "copy"), None, "validation")

    def test_a_name_must_be_given_and_a_folder_must_be_one(self) -> None:
        (missing,) = hub.problems("data.name", None, "wmt/wmt14")
        assert "data.name=wmt/wmt14" in missing
        (folder,) = hub.problems("data.name", "./nowhere", "wmt/wmt14")
        assert "is not a folder" in folder
        assert hub.problems("data.name", "wmt/wmt14", "wmt/wmt14") == []
