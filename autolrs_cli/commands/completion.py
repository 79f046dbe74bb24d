"""`autolrs completion`: TAB in bash, zsh and fish."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells that a script is there for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="Your shell.", show_default=False)],
    line: Annotated[
        str | None, typer.Option(hidden=True, help="What the shell asks: the line up to the cursor.")
    ] = None,
) -> None:
    """Print what makes TAB complete commands, groups (schedule=), options (schedule=cosine) and keys (search.lr_min=).

    [bold]Examples[/bold]

      echo 'eval "$(autolrs completion bash)"' >> ~/.bashrc

      echo 'eval "$(autolrs completion zsh)"' >> ~/.zshrc          after compinit

      autolrs completion fish > ~/.config/fish/completions/autolrs.fish
    """
    if line is None:
        from autolrs_cli.commands.complete.shell_scripts import SCRIPTS

        typer.echo(SCRIPTS[shell.value], nl=False)
        return
    from autolrs_cli.commands.complete.words import candidates

    for candidate in candidates(context.find_root().command, line):
        typer.echo(candidate)
