"""Every text of a figure lies inside it and beside the others, however many arms there are and long their names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from made_runs import make_run
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from autolrs_cli.reports.compare.comparison import Comparison, compare
from autolrs_cli.reports.figures.fit import measure, wrapped
from autolrs_cli.reports.figures.style import figure, legend_of_labels
from autolrs_cli.reports.figures.targets import MOST_TOGETHER
from autolrs_cli.reports.render.write_report import FIGURES

LONG = (
    "tuned constant with a knee + averaged weights over the tail, number {}",
    "AutoLRS_without_its_forecast_on_an_interval_ten_times_wider_at_both_ends_{}",
    "_schedulefree_adamw schedule.peak_lr=0.00{}23456 optimizer.weight_decay=0.0123 with $x and $y",
)
# Roundings of a pixel.
CLOSE = 1.0


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Comparison]:
    """A comparison of that many arms with long names, beside a baseline with one; two seeds, or one of a single arm."""
    made: dict[int, Comparison] = {}

    def of(arms: int) -> Comparison:
        if arms not in made:
            root, titles = tmp_path_factory.mktemp("made"), {}
            for seed in range(1 if arms == 1 else 2):
                path = make_run(root, "original", seed, [0.3, 0.6, 0.8, 0.9, 0.9])
                titles[path.absolute()] = (
                    "original schedule of the recipe's paper as it was published, decayed"
                )
                for arm in range(arms):
                    values = [0.4, 0.5 + arm / 100, 0.7, 0.9 - arm % 3 / 10, 0.92]
                    changes = {"optimizer.number": arm}
                    path = make_run(root, "constant" if arm % 2 else "autolrs", seed, values, changes=changes)
                    titles[path.absolute()] = LONG[arm % len(LONG)].format(arm)
            made[arms] = compare([root], baseline=next(iter(titles.values())), titles=titles)
        return made[arms]

    return of


def drawn(made: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Text, Bbox]]:
    """The texts that a renderer is given, and where they come to lie, in pixels."""
    found: list[Text] = []
    draw = Text.draw

    def spy(self: Text, renderer: object) -> None:
        if self.get_text().strip() and self.get_visible():
            found.append(self)
        draw(self, renderer)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", spy)
        made.draw_without_rendering()
    return [(text, text.get_window_extent()) for text in found]


def assert_readable(made: Figure, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fail unless all texts are inside, and names and labels beside each other; return what they say, unwrapped."""
    texts = drawn(made, monkeypatch)
    assert texts
    width, height = made.bbox.size
    outside = [
        text.get_text()
        for text, box in texts
        if box.x0 < -CLOSE or box.y0 < -CLOSE or box.x1 > width + CLOSE or box.y1 > height + CLOSE
    ]
    assert not outside
    ticks = {
        id(label) for axes in made.axes for axis in (axes.xaxis, axes.yaxis) for label in labels_of(axis)
    }
    apart = [(t, box) for t, box in texts if id(t) not in ticks and not isinstance(t, Annotation)]
    for (one, a), (other, b) in itertools.combinations(apart, 2):
        assert not overlap(a, b), (one.get_text(), other.get_text())
    for legend in made.legends:
        for (text, a), line in itertools.product(entries(legend), legend.legend_handles):
            assert line is not None
            assert not overlap(a, line.get_window_extent()), text.get_text()
    return [text.get_text().replace("\n", "").replace(" ", "") for text, _ in texts]


def labels_of(axis: object) -> Iterator[Text]:
    for tick in (*axis.majorTicks, *axis.minorTicks):  # type: ignore[attr-defined]
        yield from (tick.label1, tick.label2)


def entries(legend: Legend) -> list[tuple[Text, Bbox]]:
    return [(text, text.get_window_extent()) for text in legend.get_texts()]


def overlap(a: Bbox, b: Bbox) -> bool:
    return min(a.x1, b.x1) - max(a.x0, b.x0) > CLOSE and min(a.y1, b.y1) - max(a.y0, b.y0) > CLOSE


@pytest.mark.parametrize(
    ("arms", "name"),
    [*itertools.product((1, 12), FIGURES), (30, "speedups"), (30, "targets"), (30, "curves")],
)
def test_every_text_is_inside_the_canvas_and_every_name_is_whole(
    comparison: Callable[[int], Comparison], arms: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = comparison(arms)
    made = FIGURES[name][0](found)
    said = "".join(assert_readable(made, monkeypatch))
    for arm in found.arms:
        assert arm.name.replace(" ", "") in said
    panels = [axes.get_window_extent() for axes in made.axes]
    least = 40 if name in ("speedups", "ledger") and arms == 1 else 60
    assert min(min(panel.width, panel.height) for panel in panels) > least, "names leave the panels room"


def test_many_arms_have_a_panel_each_and_few_share_one(comparison: Callable[[int], Comparison]) -> None:
    draw = FIGURES["targets"][0]
    assert len(draw(comparison(12)).axes) == 12 > MOST_TOGETHER
    assert len(draw(comparison(1)).axes) == 4


def test_a_panel_for_one_seed_is_not_called_one_seeds(comparison: Callable[[int], Comparison]) -> None:
    titles = [axes.get_title(loc="left") for axes in FIGURES["lrs"][0](comparison(1)).axes]
    assert len(titles) == 2
    assert all(title.endswith("(1\N{NO-BREAK SPACE}seed)") for title in titles)


def test_titles_labels_and_legends_of_any_figure_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a rather long description of what is drawn here, and_of_a_word_without_any_space_in_it" * 2
    with figure(2, 1) as made:
        for axes in made.subplots(1, 2):
            axes.plot([1, 2], [1, 2], label=text)
            axes.set_title(text, loc="left")
            axes.set_xlabel(text)
            axes.set_ylabel(text)
        made.suptitle(text, x=0.01, ha="left")
        legend_of_labels(made, 4)
    said = assert_readable(made, monkeypatch)
    assert said.count(text.replace(" ", "")) == 2 * 4 + 1


def test_text_is_broken_between_words_and_words_only_where_they_are_too_long() -> None:
    width = measure(9.0)
    room = width("mmmmmmmmmm")
    assert wrapped("mmmm mmmm mmmm", room, width) == "mmmm mmmm\nmmmm"
    assert wrapped("one\ntwo", room, width) == "one\ntwo"
    assert wrapped("mmmm.mmmm.mmmm", room, width) == "mmmm.mmmm.\nmmmm"
    assert wrapped("m" * 25, room, width) == "\n".join(["m" * 10, "m" * 10, "m" * 5])
    assert wrapped("", room, width) == ""
