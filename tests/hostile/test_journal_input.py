"""Journals that a broken disk or an editor has been at: refused by name, or gone on from; never a traceback."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from damaged_runs import copied, damage_bytes, damage_lines, require_answer, stopped_run
from hostile_cases import FULL, listing, watched
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from autolrs_cli.commands import resume as resuming
from autolrs_cli.dashboard import plain
from autolrs_cli.dashboard.render import render
from autolrs_cli.dashboard.state import State, reduce
from autolrs_cli.records.journal import read_journal, read_tail, read_verified

Resume = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_run(tmp_path_factory.mktemp("journal"))


class TestGenerated:
    """Generated damage."""

    @given(data=st.data())
    def test_resume(self, data: st.DataObject, base: Path, tmp_path: Path, resume: Resume) -> None:
        run = copied(base, tmp_path / "sandbox")
        outside = listing(base.parent)
        journal = run / "journal.jsonl"
        journal.write_bytes(damage_lines(journal.read_bytes(), data))
        before = listing(run)
        code, said = resume(run)
        require_answer(code, said)
        assert listing(base.parent) == outside
        assert [path.name for path in run.parent.iterdir()] == ["run"], "something was written beside the run"
        if code == 2 and "state cannot be put back" not in said:
            assert listing(run) == before | {"run.lock": listing(run).get("run.lock", "")}, (
                "it was refused, but changed"
            )

    @given(data=st.data())
    @example(data=None)
    def test_readers(self, data: st.DataObject | None, base: Path, tmp_path: Path) -> None:
        """What screens, reports and `watch` build on: a ValueError for what is no journal, else a drawn state."""
        content = (base / "journal.jsonl").read_bytes()
        path = tmp_path / "journal.jsonl"
        path.write_bytes(content if data is None else damage_lines(damage_bytes(content, data), data))
        with watched():
            for read in (read_journal, functools.partial(read_tail, offset=0)):
                with suppress(ValueError):
                    list(read(path))
            try:
                state = functools.reduce(reduce, read_verified(path), State())
            except (ValueError, KeyError):
                return
            if data is None or (state.plan and state.description):
                assert state.step >= 0

    @given(content=st.binary(max_size=300))
    def test_any_bytes(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "journal.jsonl").write_bytes(content)
        with watched():
            try:
                records = list(read_verified(tmp_path / "journal.jsonl"))
            except ValueError:
                return
        assert all(isinstance(record["event"], str) for record in records)


class TestFound:
    """What generated input has found."""

    def edit(self, base: Path, tmp_path: Path, old: str, new: str, *, last: bool = False) -> Path:
        run = copied(base, tmp_path / "sandbox")
        text = (run / "journal.jsonl").read_text()
        assert old in text
        edited = new.join(text.rsplit(old, 1)) if last else text.replace(old, new, 1)
        (run / "journal.jsonl").write_text(edited)
        return run

    @pytest.mark.parametrize(
        ("old", "new", "last"),
        [
            ('"ruled_out":[]', '"ruled_out":7', True),
            ('"trials":[', '"trials":[7,', True),
            ('"forecast":{"mean":', '"forecast":{"mean":"low","x":', True),  # text would reach the surrogate
            (
                '"trial_step":1,"loss":',
                '"trial_step":1,"loss":"low","x":',
                True,
            ),  # text reached the failure rule
            ('"max_steps":130', '"max_steps":9223372036854775807', False),  # a progress bar of that width
            ('"segments":[', '"segments":[7,', False),
            ('"t":', '"t":-1e300,"x":', True),
            ('"total_steps":', '"total_steps":1e30,"x":', True),
            ('"flags":[', '"flags":[7,', True),
            ('"recipe":"toy"', '"recipe":["toy"]', False),
        ],
    )
    def test_edited(self, base: Path, tmp_path: Path, resume: Resume, old: str, new: str, last: bool) -> None:
        code, said = resume(self.edit(base, tmp_path, old, new, last=last))
        assert code == 2
        require_answer(code, said)

    def test_deep_json(self, base: Path, tmp_path: Path, resume: Resume) -> None:
        run = copied(base, tmp_path / "sandbox")
        with (run / "journal.jsonl").open("a") as file:
            file.write("[" * 100_000 + "]" * 100_000 + "\n")
        code, said = resume(run)
        assert (code, "is not an event" in said) == (2, True)

    def test_a_pipe_is_not_waited_for(self, base: Path, tmp_path: Path, resume: Resume) -> None:
        run = copied(base, tmp_path / "sandbox")
        (run / "journal.jsonl").unlink()
        os.mkfifo(run / "journal.jsonl")
        code, said = resume(run)
        assert (code, "not a regular file" in said) == (2, True)

    def test_links_out_of_the_run_directory_are_refused(
        self, base: Path, tmp_path: Path, resume: Resume
    ) -> None:
        for name in (
            "schedule.csv",
            "summary.json",
            "run.lock",
            "run.holder",
            "journal.jsonl",
            "model.safetensors",
        ):
            run = copied(base, tmp_path / "sandbox")
            outside = tmp_path / "precious"
            outside.write_text("precious")
            (run / name).unlink(missing_ok=True)
            (run / name).symlink_to(outside)
            code, said = resume(run)
            assert (code, outside.read_text()) == (2, "precious")
            assert f"these are links: {name}" in said


@pytest.mark.skipif(not FULL, reason="trains; AUTOLRS_HOSTILE_EXAMPLES=1 or more")
@settings(max_examples=max(1, FULL // 20))
@given(data=st.data())
def test_what_goes_on_trains_to_its_end(data: st.DataObject, base: Path, tmp_path: Path) -> None:
    run = copied(base, tmp_path / "sandbox")
    journal = run / "journal.jsonl"
    journal.write_bytes(damage_lines(journal.read_bytes(), data))
    assert resuming.main(run, ["dashboard=none"], [], started=0.0) in (0, 1, 2)


def test_a_drawn_screen_of_the_undamaged_journal(base: Path) -> None:
    """The readers above do see something."""
    state = functools.reduce(reduce, read_verified(base / "journal.jsonl"), State())
    console = Console(file=io.StringIO(), width=100)
    console.print(render(state, 100, 30))
    assert state.chosen
    record = next(r for r in read_verified(base / "journal.jsonl") if r["event"] == "lr_chosen")
    assert plain.lines(state, record)
