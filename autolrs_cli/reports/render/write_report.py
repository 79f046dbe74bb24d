"""Write a comparison into a folder: report.html, table.csv, table.json, table.md, and the figures as PNG and SVG."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from autolrs_cli import reports
from autolrs_cli.durable import write_whole
from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.figures.curves import curves_figure, lrs_figure
from autolrs_cli.reports.figures.ledger import ledger_figure
from autolrs_cli.reports.figures.speedups import seeds_figure
from autolrs_cli.reports.figures.style import save
from autolrs_cli.reports.figures.targets import target_figure
from autolrs_cli.reports.render.html import page
from autolrs_cli.reports.render.tables import as_csv, as_json, as_markdown
from autolrs_cli.reports.render.terminal import headline

FIGURES = {
    "speedups": (seeds_figure, "Speedups of every seed."),
    "targets": (target_figure, "Speedups over the target: how much depends on where it was set."),
    "curves": (curves_figure, "Loss and metric: thin lines are seeds, thick lines their median."),
    "lrs": (lrs_figure, "LRs of the kept steps, one line a seed."),
    "ledger": (ledger_figure, "What the runs were spent on, means over seeds."),
}


def write_report(comparison: Comparison, out: Path, *, made_of: bytes | None = None) -> Path:
    """Write everything into `out`, which is made; return the path of report.html.

    Args:
        comparison: what to report.
        out: the folder.
        made_of: all that the comparison was made of. If the figures that are there were drawn of the same, by the same
            code, they stay: drawn again they would be the same files, and it takes most of the time.

    Raises:
        ConfigError: if it cannot be written.
    """
    try:
        figures = _figures(comparison, out / "plots", made_of)
        write_whole(out / "table.csv", as_csv(comparison))
        write_whole(out / "table.json", as_json(comparison))
        write_whole(out / "table.md", as_markdown(comparison, f"## {headline(comparison)}"))
        write_whole(out / "report.html", page(comparison, figures))
    except OSError as error:
        raise ConfigError(
            f"The report must be written whole, but {out} cannot be: {error.strerror}. Name another folder with --out."
        ) from error
    return out / "report.html"


def _figures(comparison: Comparison, folder: Path, made_of: bytes | None) -> dict[str, tuple[Path, str]]:
    """Return name -> PNG and caption, drawn where they are not there already."""
    note = folder / ".drawn"
    drawn = None if made_of is None else hashlib.sha256(made_of + _drawing_code()).hexdigest()
    files = [folder / f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")]
    there = drawn is not None and note.is_file() and note.read_bytes() == drawn.encode()
    if not (there and all(path.is_file() for path in files)):
        note.unlink(missing_ok=True)
        for name, (draw, _) in FIGURES.items():
            save(draw(comparison), folder, name)
        if drawn is not None:
            write_whole(note, drawn)
    return {name: (folder / f"{name}.png", caption) for name, (_, caption) in FIGURES.items()}


def _drawing_code() -> bytes:
    """Return what stands for everything that decides how figures look, but for what they show."""
    sources = sorted(Path(reports.__file__).parent.rglob("*.py"))
    libraries = [f"{name} {version(name)}".encode() for name in ("matplotlib", "numpy")]
    return b"".join([*libraries, *(path.read_bytes() for path in sources)])
