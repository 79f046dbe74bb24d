"""TAB: in a real bash on a pseudo-terminal, and what every shell asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from harness import USER
from processes import autolrs, environment
from typer.main import get_command

from autolrs_cli.app import app
from autolrs_cli.commands.complete.words import candidates

ROOT = get_command(app)
PROMPT = "ask> "


def offered(line: str) -> list[str]:
    return candidates(ROOT, line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("autolrs tra", ["train"]),
        ("autolrs train recipe=", ["recipe=bert", "recipe=resnet50", "recipe=transformer"]),
        ("autolrs train schedule=aut", ["schedule=autolrs"]),
        ("autolrs sweep search.lr_", ["search.lr_max=", "search.lr_min="]),
        ("autolrs train -m seed=0,1 schedule=cosine,st", ["schedule=cosine,step"]),
        ("autolrs train tracker=[tensorboard,m", ["tracker=[tensorboard,mlflow"]),
        ("autolrs train search=paper ++search.ka", ["++search.kappa="]),
        ("autolrs train search=code search.clean_up_train.ro", ["search.clean_up_train.rounds="]),
        (
            "autolrs train runtime.deterministic=",
            ["runtime.deterministic=false", "runtime.deterministic=true"],
        ),
        ("autolrs plan recipe=bert data.vo", ["data.vocab_size="]),
        ("autolrs train data=image_folder data.ro", ["data.root=", "data.rotate_degrees="]),
        ("autolrs train recipe=resnet50 search=paper search.lr_max=", ["search.lr_max=0.1"]),
        ("autolrs data c", ["check"]),
        ("autolrs data check scale=d", ["scale=demo"]),
        ("autolrs train --cfg ", ["all", "hydra", "job"]),
        ("autolrs list sched", ["schedule"]),
        ("autolrs completion ", ["bash", "fish", "zsh"]),
        ("autolrs reproduce s", ["schedule.", "schedule=", "search.", "search="]),
        ("autolrs train 'recipe=re", ["recipe=resnet50"]),
        ("autolrs tune schedule=cosine tun", ["tune."]),
        (
            "autolrs tune schedule=clr tune.space.",
            [f"tune.space.{key}." for key in ("half_period_steps", "min_lr", "peak_lr")],
        ),
        ("autolrs tune schedule=cosine tune.space.peak_lr.lo", ["tune.space.peak_lr.low="]),
        ("autolrs tune schedule=cosine tune.space.peak_lr.low=", ["tune.space.peak_lr.low=0.1"]),
        ("autolrs tune tune.final", ["tune.finalists="]),
        ("autolrs train schedule=cosine tun", []),
        ("autolrs nonsense wo", []),
    ],
)
def test_what_may_come_next(line: str, expected: list[str]) -> None:
    found = offered(line)
    if line.endswith("data.ro"):
        assert "data.root=" in found
    else:
        assert found == expected


def test_a_persons_own_recipe() -> None:
    assert offered("autolrs train recipe=to") == []
    assert offered(f"autolrs train --config-dir {USER} recipe=to") == ["recipe=toy"]


def test_tuned_schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tmp_path / "configs" / "schedule" / "tuned" / "bert" / "bench" / "sgdr.yaml"
    tuned.parent.mkdir(parents=True)
    tuned.write_text("name: sgdr_tuned\n")
    monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path))
    assert offered("autolrs train schedule=tu") == ["schedule=tuned/bert/bench/sgdr"]


def test_every_command_offers_its_own_options() -> None:
    for name, command in ROOT.commands.items():  # type: ignore[attr-defined]
        for option in (
            each for parameter in command.params for each in parameter.opts if each.startswith("--")
        ):
            if not next(p for p in command.params if option in p.opts).hidden:
                assert option in offered(f"autolrs {name} {option}")


def test_run_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "bert").mkdir(parents=True)
    (tmp_path / "run.log").touch()
    for command in ("resume", "plot", "export", "compare"):
        assert offered(f"autolrs {command} ru") == ["runs/"]
    assert offered("autolrs compare runs runs/b") == ["runs/bert/"]
    assert offered("autolrs train run.dir=ru") == ["run.dir=run.log", "run.dir=runs/"]
    assert offered("autolrs resume runs dashb") == ["dashboard.", "dashboard="]


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['autolrs', 'completion', 'bash', '--line', 'autolrs train recipe=']\n"
        "from autolrs_cli.app import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(' '.join(sorted({'torch', 'hydra', 'numpy', 'omegaconf'} & set(sys.modules))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["recipe=bert", "recipe=resnet50", "recipe=transformer"]
    assert done.stderr == ""


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a person who has `autolrs` on the path, and no settings."""
    home = tmp_path_factory.mktemp("home")
    (home / "bin").mkdir()
    (home / "bin" / "autolrs").write_text(f'#!/bin/sh\nexec {sys.executable} -m autolrs_cli "$@"\n')
    (home / "bin" / "autolrs").chmod(0o755)
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "TERM": "dumb"}


@pytest.fixture(scope="module")
def bash(at_home: dict[str, str]) -> Iterator[pexpect.spawn]:
    """An interactive bash with completion set up as its help says."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    changes = {**at_home, "INPUTRC": "/dev/null", "PS1": PROMPT}
    shell = pexpect.spawn(
        "bash",
        ["--noprofile", "--norc", "-i"],
        cwd=at_home["HOME"],
        env=environment(**changes),  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=120,
        dimensions=(24, 200),
    )
    shell.expect_exact(PROMPT)
    shell.sendline("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; PS1=; echo on''e")
    shell.expect_exact("one\r\n")
    shell.sendline('eval "$(autolrs completion bash)"; echo two-$?')
    shell.expect_exact("two-0\r\n")
    yield shell
    shell.close(force=True)


@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("autolrs train rec", "autolrs train recipe="),
        ("autolrs train recipe=res", "autolrs train recipe=resnet50 "),
        ("autolrs train recipe=bert schedule=aut", "autolrs train recipe=bert schedule=autolrs "),
        ("autolrs train search.lr_ma", "autolrs train search.lr_max="),
        ("autolrs train -m schedule=cosine,st", "autolrs train -m schedule=cosine,step "),
        ("autolrs comple", "autolrs completion "),
    ],
)
def test_tab_in_bash(bash: pexpect.spawn, typed: str, becomes: str) -> None:
    bash.send(f"{typed}\t")
    bash.expect_exact(becomes)
    # The line is as it is shown: made a comment, it is taken as it stands.
    bash.send("\x01#\n")
    bash.sendline("echo three")
    bash.expect_exact("three\r\n")


def test_tab_in_bash_shows_what_there_is(bash: pexpect.spawn) -> None:
    bash.send("autolrs train recipe=\t\t")
    for recipe in ("bert", "resnet50", "transformer"):
        bash.expect_exact(recipe)
    bash.send("\x01#\n")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_tab_in_zsh(at_home: dict[str, str]) -> None:
    shell = pexpect.spawn(
        "zsh",
        ["-f", "-i"],
        cwd=at_home["HOME"],
        env=environment(**at_home),  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=120,
        dimensions=(24, 200),
    )
    setup = "autoload -Uz compinit; compinit -u; eval \"$(autolrs completion zsh)\"; echo on''e"
    shell.sendline(f"unsetopt PROMPT_SP; PS1=; {setup}")
    shell.expect_exact("one\r\n")
    for typed, becomes in (
        ("autolrs train recipe=res", "autolrs train recipe=resnet50"),
        ("autolrs train search.lr_ma", "autolrs train search.lr_max="),
        ("autolrs comple", "autolrs completion"),
    ):
        # What stands there after TAB is printed; the screen itself is only told what changes on it.
        shell.send(f"{typed}\t\x01print -r -- became \n")
        shell.expect_exact(f"\nbecame {becomes}")
    shell.close(force=True)


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_tab_in_fish(at_home: dict[str, str]) -> None:
    script = (
        'autolrs completion fish | source; complete -C "autolrs train recipe="; complete -C "autolrs comple"'
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=at_home["HOME"],
        env=environment(**at_home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["recipe=bert", "recipe=resnet50", "recipe=transformer", "completion"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    done = autolrs("completion", shell, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "script"
    script.write_text(done.stdout)
    checked = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
