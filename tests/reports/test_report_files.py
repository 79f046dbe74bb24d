"""What `write_report` leaves behind: complete, self-contained, and the same each time."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_runs import make_run
from matplotlib.image import imread
from rich.console import Console

from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.comparison import compare
from autolrs_cli.reports.figures.speedups import seeds_figure
from autolrs_cli.reports.figures.style import save
from autolrs_cli.reports.render.html import page
from autolrs_cli.reports.render.tables import as_markdown
from autolrs_cli.reports.render.terminal import render
from autolrs_cli.reports.render.write_report import FIGURES, write_report

SECOND, THIRD, NEVER = [0.5, 0.9, 0.9, 0.9], [0.5, 0.6, 0.9, 0.9], [0.5, 0.6, 0.7, 0.8]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seeds; on the last one AutoLRS misses. Every LR of one constant run diverged: it has no number at all."""
    root = tmp_path_factory.mktemp("made") / "runs"
    for seed in range(5):
        make_run(root, "original", seed, THIRD)
        make_run(root, "autolrs", seed, NEVER if seed == 4 else SECOND)
        make_run(root, "constant", seed, NEVER if seed else [None] * 4)
    return root


@pytest.fixture(scope="module")
def out(runs: Path) -> Path:
    """The report on them."""
    return write_report(compare([runs]), runs.parent / "out").parent


class Tags(HTMLParser):
    """Collect every address that a browser would load, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe")
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_no_other_file_and_names_what_it_is_made_of(runs: Path, out: Path) -> None:
    text = (out / "report.html").read_text(encoding="utf-8")
    page = Tags()
    page.feed(text)
    assert len(page.loaded) == len(FIGURES)
    assert all(address.startswith("data:image/png;base64,") for address in page.loaded)
    assert "url(" not in text
    for said in (
        "Every ratio is original / arm",
        "no speedup: 5 of 5 runs miss the target",
        "undecided in training steps; undecided in all steps",
        "seeds: 0, 1, 2, 3, 4",
        f"autolrs compare {runs} --out DIR",
        "code: c0de",
        "torch 1",
        "upper bounds",
    ):
        assert said in page.text


def test_what_there_is_one_of_reads_as_one(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, THIRD)
    make_run(tmp_path, "autolrs", 0, SECOND)
    comparison = compare([tmp_path])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(comparison))
    image = tmp_path / "image.png"
    image.touch()
    said = page(comparison, dict.fromkeys(FIGURES, (image, ""))) + console.export_text()
    assert "undecided: 1 pair makes no interval" in said
    assert "on 1 of 1 seed;" in said
    assert "cpu, 1 thread;" in said
    wrong = r"\b1 (pairs|seeds|runs|arms|threads|steps|run directories)\b.{0,20}"
    assert not re.search(wrong, said), re.search(wrong, said)


def test_every_figure_shows_something_in_both_formats(out: Path) -> None:
    for name in FIGURES:
        assert imread(out / "plots" / f"{name}.png")[..., :3].std() > 0.02
        assert "<svg" in (out / "plots" / f"{name}.svg").read_text(encoding="utf-8")


def test_a_figure_drawn_again_is_the_same_file(runs: Path, tmp_path: Path) -> None:
    comparison = compare([runs])
    one, other = (save(seeds_figure(comparison), tmp_path / name, "figure") for name in ("one", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_table_csv_has_every_seed_at_full_precision(out: Path) -> None:
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = [row for row in rows if row["arm"] == "autolrs search=paper" and row["seed"]]
    assert [float(row["training_speedup"]) for row in seeds] == [2.0, 2.0, 2.0, 2.0, 0.0]
    assert [float(row["net_speedup"]) for row in seeds] == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert seeds[4]["verdict"] == "arm misses"
    (summary,) = [row for row in rows if row["arm"] == "autolrs search=paper" and not row["seed"]]
    assert (summary["training_speedup"], summary["reached"], summary["runs"]) == ("2.0", "4", "5")
    (missing,) = [row for row in rows if row["arm"] == "constant" and not row["seed"]]
    assert missing["training_speedup"] == ""


def test_table_md_is_a_table(out: Path) -> None:
    blocks = [b.splitlines() for b in (out / "table.md").read_text().split("\n\n") if b.startswith("|")]
    assert len(blocks) == 3
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block}) == 1


def test_a_forced_comparison_wears_its_banner_everywhere(out: Path, tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, THIRD)
    make_run(tmp_path, "autolrs", 0, SECOND, code="<other>")
    comparison = compare([tmp_path], force=True)
    any_image = out / "plots" / "lrs.png"
    text = page(comparison, dict.fromkeys(FIGURES, (any_image, "caption")))
    assert 'class="banner"' in text
    assert "&lt;other&gt;" in text
    assert "FORCED" in as_markdown(comparison, "head")


def test_a_folder_that_cannot_be_written_is_a_message(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match="--out"):
        write_report(compare([runs]), tmp_path / "out")
