"""Checkpoints that were damaged, or edited and sealed again: the one before is used, or a refusal; no code is run."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from damaged_runs import copied, damage_bytes, edit, require_answer, resealed, stopped_run, with_header
from hostile_cases import listing, watched
from hypothesis import given
from hypothesis import strategies as st

LAST = "step-000000050"
# Where the first parameter's momentum lies in values.json.
MOMENTUM = "optimizer.state.0.momentum_buffer"
IN_STATE = ("optimizer", "tree", "state", "items", 0, 1, "momentum_buffer")
VIEW = {"$": "tensor", "in": MOMENTUM, "dtype": "float64", "shape": [1], "stride": [1], "offset": 0}
Resume = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_run(tmp_path_factory.mktemp("checkpoint"))


def header_of(content: bytes) -> dict:
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size])


class TestGenerated:
    """Generated damage to the last checkpoint."""

    @given(data=st.data(), sealed=st.booleans())
    def test_damaged_or_edited(
        self, data: st.DataObject, sealed: bool, base: Path, tmp_path: Path, resume: Resume
    ) -> None:
        run = copied(base, tmp_path / "sandbox")
        outside = listing(base.parent)
        folder = run / "checkpoints" / LAST
        what = data.draw(st.sampled_from(("values", "values", "header", "bytes", "swap")))
        if what == "values":
            path = folder / "values.json"
            path.write_bytes(orjson.dumps(edit(orjson.loads(path.read_bytes()), data)))
        elif what == "header":
            path = folder / "tensors.safetensors"
            header = orjson.dumps(edit(header_of(path.read_bytes()), data))
            path.write_bytes(with_header(path.read_bytes(), header))
        elif what == "bytes":
            path = folder / data.draw(
                st.sampled_from(("values.json", "tensors.safetensors", "manifest.json"))
            )
            path.write_bytes(damage_bytes(path.read_bytes(), data))
        else:
            name = data.draw(st.sampled_from(("values.json", "tensors.safetensors", "manifest.json")))
            (folder / name).write_bytes((folder.with_name("step-000000010") / name).read_bytes())
        if sealed and what in ("values", "header"):
            resealed(folder)
        code, said = resume(run)
        require_answer(code, said)
        assert listing(base.parent) == outside
        assert [path.name for path in run.parent.iterdir()] == ["run"], "something was written beside the run"


class TestFound:
    """What generated input has found, and what a person may think of."""

    def values(self, base: Path, tmp_path: Path, *path: object, to: object) -> Path:
        run = copied(base, tmp_path / "sandbox")
        for folder in (run / "checkpoints").iterdir():
            values = orjson.loads((folder / "values.json").read_bytes())
            node = values
            for part in path[:-1]:
                node = node[part]
            node[path[-1]] = to
            (folder / "values.json").write_bytes(orjson.dumps(values))
            resealed(folder)
        return run

    @pytest.mark.parametrize(
        ("path", "to"),
        [
            (("random", "python", 1), []),
            (("random", "numpy", 2), "many"),
            (("random", "numpy", 1, 0), -1),
            (("optimizer",), {}),
            (("optimizer", "tree"), [{}]),
            (("optimizer", "tree", "state"), []),
            (("optimizer", "tree", "param_groups", 0, "params"), []),
            (("optimizer", "storages"), {}),
            (("optimizer", "storages", "model.0.weight"), {"on_device": True, "parameter": None}),
            (("optimizer", "storages", MOMENTUM, "parameter"), 10**9),
            (("optimizer", "storages", MOMENTUM, "parameter"), 1),  # another's memory, of another size
            (IN_STATE, {"$": "tensor", "in": "nowhere"}),
            ((*IN_STATE, "$"), "pickle"),
            (IN_STATE, VIEW | {"shape": [10**15]}),
            (IN_STATE, VIEW | {"stride": [-1]}),
            (IN_STATE, VIEW | {"dtype": "load"}),
            (("run", "ledger"), {"nonsense": 1}),
            (("run", "outcome", "schedule"), [[1]]),
            (("run", "step"), 10**12),
            (("run", "total_steps"), "many"),
            (("run", "journal_bytes"), -1),
            (("run", "t"), None),
            (("run",), []),
        ],
    )
    def test_edited_and_sealed_again(
        self, base: Path, tmp_path: Path, resume: Resume, path: tuple, to: object
    ) -> None:
        code, said = resume(self.values(base, tmp_path, *path, to=to))
        assert code == 2
        require_answer(code, said)

    @pytest.mark.parametrize("size", [2**63, 2**40, 0, 7])
    def test_a_header_of_a_size_that_is_not_there(
        self, base: Path, tmp_path: Path, resume: Resume, size: int
    ) -> None:
        run = copied(base, tmp_path / "sandbox")
        path = run / "checkpoints" / LAST / "tensors.safetensors"
        path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])
        resealed(path.parent)
        code, said = resume(run)
        assert (code, f"{LAST} is damaged" in said) == (1, True), said

    @pytest.mark.parametrize("change", [{"dtype": "I64"}, {"shape": [10**15]}, {"data_offsets": [0, 10**18]}])
    def test_a_tensor_that_is_not_what_its_header_says(
        self, base: Path, tmp_path: Path, resume: Resume, change: dict
    ) -> None:
        run = copied(base, tmp_path / "sandbox")
        path = run / "checkpoints" / LAST / "tensors.safetensors"
        header = header_of(path.read_bytes())
        header["model.0.weight"] |= change
        path.write_bytes(with_header(path.read_bytes(), orjson.dumps(header)))
        resealed(path.parent)
        code, said = resume(run)
        require_answer(code, said)
        assert LAST in said or "configured model" in said

    def test_a_pipe_is_not_waited_for(self, base: Path, tmp_path: Path, resume: Resume) -> None:
        run = copied(base, tmp_path / "sandbox")
        for name in ("manifest.json", "values.json"):
            (run / "checkpoints" / LAST / name).unlink()
            os.mkfifo(run / "checkpoints" / LAST / name)
        code, said = resume(run)
        assert (code, f"{LAST} is damaged" in said) == (1, True), said

    def test_what_does_not_belong_there_is_passed_over(
        self, base: Path, tmp_path: Path, resume: Resume
    ) -> None:
        run = copied(base, tmp_path / "sandbox")
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").write_text("precious")
        (run / "checkpoints" / "step-000000049").symlink_to(outside)
        (run / "checkpoints" / "step-abc").mkdir()
        (run / "checkpoints" / LAST / "more").mkdir()
        (run / "checkpoints" / "notes.txt").write_text("mine")
        code, said = resume(run)
        require_answer(code, said)
        assert (outside / "precious").read_text() == "precious"
        assert (run / "checkpoints" / "notes.txt").exists()

    def test_a_pickle_is_no_checkpoint(self, base: Path, tmp_path: Path, resume: Resume) -> None:
        import pickle

        class Bomb:
            def __reduce__(self) -> tuple:
                return os.mkdir, (str(tmp_path / "exploded"),)

        run = copied(base, tmp_path / "sandbox")
        for name in ("tensors.safetensors", "values.json"):
            (run / "checkpoints" / LAST / name).write_bytes(pickle.dumps(Bomb()))
        resealed(run / "checkpoints" / LAST)
        with watched():
            code, said = resume(run)
        require_answer(code, said)
        assert not (tmp_path / "exploded").exists()
