"""Write a comparison into a folder: report.html, table.csv, table.json, table.md, and the figures as PNG and SVG."""

from __future__ import annotations

from pathlib import Path

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


def write_report(comparison: Comparison, out: Path) -> Path:
    """Write everything into `out`, which is made; return the path of report.html.

    Raises:
        ConfigError: if it cannot be written.
    """
    try:
        figures = {}
        for name, (draw, caption) in FIGURES.items():
            png, _ = save(draw(comparison), out / "plots", name)
            figures[name] = (png, caption)
        write_whole(out / "table.csv", as_csv(comparison))
        write_whole(out / "table.json", as_json(comparison))
        write_whole(out / "table.md", as_markdown(comparison, f"## {headline(comparison)}"))
        write_whole(out / "report.html", page(comparison, figures))
    except OSError as error:
        raise ConfigError(
            f"The report must be written whole, but {out} cannot be: {error.strerror}. Name another folder with --out."
        ) from error
    return out / "report.html"
