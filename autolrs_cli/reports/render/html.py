"""report.html: one file that any browser shows without network, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.provenance import provenance
from autolrs_cli.reports.figures.style import as_data_url
from autolrs_cli.reports.render import format as words
from autolrs_cli.reports.render.tables import arm_table, seed_table, speedup_table
from autolrs_cli.reports.render.terminal import headline
from autolrs_cli.wording import counted

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid #8884; }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left; }
figure { margin: 1rem 0; } img { max-width: 100%; background: white; padding: .5rem; box-sizing: border-box; }
figcaption, .small { font-size: .85rem; opacity: .8; } code { overflow-wrap: anywhere; }
.banner { border: 3px solid #D55E00; padding: .5rem 1rem; } li { margin: .2rem 0; }
"""


def page(comparison: Comparison, figures: Mapping[str, tuple[Path, str]]) -> str:
    """Return the report.

    Args:
        comparison: what to report.
        figures: name -> PNG and caption; the images go into the page.
    """
    title = headline(comparison)
    parts = [
        f"<h1>{escape(title)}</h1>",
        _banner(comparison),
        f"<p>{escape(words.direction(comparison))}</p>",
    ]
    parts += [f"<h2>Speedups over {escape(comparison.baseline.name)}</h2>", _table(speedup_table(comparison))]
    parts.append(_figure(*figures["speedups"]))
    parts += ["<h2>What weakens these figures</h2>", _list(comparison.warnings)]
    parts += ["<h2>Arms</h2>", _table(arm_table(comparison))]
    parts += ["<h2>Every seed</h2>", _table(seed_table(comparison))]
    parts.append("<h2>Figures</h2>")
    parts += [_figure(*figures[name]) for name in figures if name != "speedups"]
    parts += ["<h2>Where it comes from</h2>", _list(provenance(comparison)), _runs(comparison)]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n'
        "</body>\n</html>\n"
    )


def _banner(comparison: Comparison) -> str:
    if not comparison.refused:
        return ""
    return f'<div class="banner"><strong>{escape(words.FORCED)}</strong>{_list(comparison.refused)}</div>'


def _table(table: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table[0])
    lines = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in table[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else "<p>Nothing was found.</p>"


def _figure(png: Path, caption: str) -> str:
    return (
        f'<figure><img src="{as_data_url(png)}" alt="{escape(caption)}"><figcaption>{escape(caption)} '
        f"Files: plots/{png.name}, plots/{png.stem}.svg.</figcaption></figure>"
    )


def _runs(comparison: Comparison) -> str:
    lines = [
        f"{arm.name}: seed {run.seed}, {run.max_steps} steps, {run.path}"
        for arm in comparison.arms
        for run in arm.all_runs
    ]
    held = counted(len(lines), "run directory", "run directories")
    return f'<details class="small"><summary>{held}</summary>{_list(lines)}</details>'
