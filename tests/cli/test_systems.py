"""Where autolrs does not run, it says so in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment

# As on Windows: these modules cannot be imported there. The platform is changed after Typer chose its own code for it.
ON_WINDOWS = """
import sys
sys.modules.update(dict.fromkeys(("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")))
from autolrs_cli.app import main
sys.platform, sys.argv = sys.argv[1], ["autolrs", *sys.argv[2:]]
main()
"""


@pytest.mark.parametrize("platform", ["win32", "cygwin"])
@pytest.mark.parametrize("command", ["train recipe=resnet50", "plan recipe=bert", "--help"])
def test_windows_is_refused_and_wsl_is_named(platform: str, command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_WINDOWS, platform, *command.split()],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "this is Windows" in done.stderr
    assert "wsl --install" in done.stderr
    assert "Traceback" not in done.stderr
