import json
import math
import random
import subprocess
import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from autolrs_cli.errors import NonFiniteError
from autolrs_cli.search import FailureRule, StageSearch
from autolrs_cli.search.ask_tell import Curve, Failure, Trial

FAILED = Failure("non_finite_loss", 3, "loss nan at step 3 of the trial")


def losses(lr, best=1e-2):
    """A curve that ends lowest at LR `best`."""
    floor = 0.5 + 0.3 * math.log10(lr / best) ** 2
    return [floor + (2.3 - floor) * math.exp(-0.03 * step) for step in range(1, 101)]


def told(trial):
    return Curve(range(1, 101), losses(trial.lr), "train")


def finish(search, answer=told):
    while (trial := search.ask()) is not None:
        search.tell(trial, answer(trial))
    return [(record.trial.lr, record.status, record.forecast) for record in search.trials]


def fails_above(limit):
    return lambda trial: FAILED if trial.lr > limit else told(trial)


def test_it_finds_the_bottom_of_a_bowl(make_search):
    for seed in range(2):
        search = make_search(seed=seed)
        finish(search)
        assert 1 / 2 < search.best().lr / 1e-2 < 2


def test_ask_is_idempotent_and_ends_with_the_budget(make_search):
    search = make_search(num_trials=4)
    for index in range(4):
        trial = search.ask()
        assert trial == search.ask()
        assert trial.index == index
        search.tell(trial, told(trial))
    assert search.ask() is None
    assert len({record.trial.lr for record in search.trials}) == 4


def test_tell_says_whether_it_is_the_best_so_far(make_search):
    search = make_search(num_trials=4)
    curves = [Curve(range(1, 51), [value] * 50, "train") for value in (2.0, 1.0, 1.0, 3.0)]
    results = [search.tell(search.ask(), curve) for curve in curves]
    assert results == [True, True, False, False]
    assert search.best().index == 1


def test_same_seed_same_answers_and_other_seeds_others(make_search):
    assert finish(make_search(seed=1)) == finish(make_search(seed=1))
    assert len({make_search(seed=seed).ask().lr for seed in range(20)}) == 20


@pytest.mark.parametrize("kappa", [0.0, 1e6])
def test_no_lr_is_asked_twice(make_search, kappa):
    lrs = [lr for lr, *_ in finish(make_search(kappa=kappa, num_random_trials=1, num_trials=12))]
    assert len(set(lrs)) == 12
    assert all(1e-4 <= lr <= 1.0 for lr in lrs)


def test_after_a_failure_it_asks_below(make_search):
    for seed in range(2):
        search = make_search(seed=seed)
        cap = 1.0
        while (trial := search.ask()) is not None:
            assert trial.lr <= cap * (1 + 1e-12)
            if trial.lr > 0.02:
                cap = min(cap, trial.lr * 0.5)
            assert search.tell(trial, fails_above(0.02)(trial)) in (
                {False} if trial.lr > 0.02 else {True, False}
            )
        assert search.best().lr <= 0.02
        assert {record.status for record in search.trials} == {"ok", "diverged"}
        assert all((record.failure is None) != (record.forecast is None) for record in search.trials)


def test_all_failed_caps_down_to_the_bottom_and_has_no_best(make_search):
    search = make_search(num_trials=30)
    finish(search, lambda trial: FAILED)
    lrs = [record.trial.lr for record in search.trials]
    assert 1 < len(lrs) <= 30
    assert all(later <= earlier * 0.5 for earlier, later in pairwise(lrs))
    assert search.best() is None
    assert search.surrogate() is None
    assert search.ask() is None


def test_report_stops_at_a_non_finite_loss(make_search):
    search = make_search()
    trial = search.ask()
    assert search.report(trial, Curve([], [], "train")) == "go"
    assert search.report(trial, Curve([1, 2], [2.0, 1.9], "train")) == "go"
    assert search.report(trial, Curve([1, 2, 3], [2.0, 1.9, math.nan], "train")) == "stop"


def test_wrong_tells_are_refused_and_change_nothing(make_search):
    search = make_search()
    with pytest.raises(ValueError, match="must be the pending one"):
        search.tell(Trial(0, 0.1), FAILED)
    trial = search.ask()
    with pytest.raises(NonFiniteError, match="Failure"):
        search.tell(trial, Curve([1, 2], [1.0, math.inf], "train"))
    with pytest.raises(ValueError, match="Count steps from the trial's start"):
        search.tell(trial, Curve([1, 101], [1.0, 1.0], "train"))
    with pytest.raises(ValueError, match="steps"):
        search.tell(trial, Curve([1, 1], [1.0, 1.0], "train"))
    with pytest.raises(ValueError, match="len"):
        search.tell(trial, Curve([1], [1.0, 1.0], "train"))
    with pytest.raises(ValueError, match="at least one loss"):
        search.tell(trial, Curve([], [], "train"))
    assert search.trials == ()
    assert search.ask() == trial
    search.tell(trial, told(trial))
    with pytest.raises(ValueError, match="tell each trial once"):
        search.tell(trial, told(trial))
    with pytest.raises(ValueError, match="must be the pending one"):
        search.report(trial, told(trial))


def test_validation_losses_get_their_own_clean_up(make_search):
    values = losses(0.01)[5::6]
    values[2] += 3.0  # one outlier: dropped, and fitted without it
    means = {}
    for kind in ("train", "choose"):
        search = make_search()
        search.tell(search.ask(), Curve(range(6, 97, 6), values, kind))
        means[kind] = search.trials[0].forecast.mean
    assert means["train"] != means["choose"]
    assert make_search().ask().scored_at is None, "the training loss is free"


@pytest.mark.parametrize("limit", [0.02, 10.0])
def test_a_search_stored_at_any_moment_goes_on_the_same(make_search, limit):
    answer = fails_above(limit)
    search, states = make_search(num_trials=5, num_random_trials=2), []
    while True:
        states.append(json.dumps(search.state_dict(), allow_nan=False))
        trial = search.ask()
        states.append(json.dumps(search.state_dict(), allow_nan=False))
        if trial is None:
            break
        search.tell(trial, answer(trial))
    for state in states:
        again = StageSearch.from_state(json.loads(state))
        assert json.dumps(again.state_dict()) == state
        finish(again, answer)
        assert again.trials == search.trials
        assert again.best() == search.best()


def test_global_random_streams_and_warnings_are_left_alone(make_search):
    def global_states():
        numpy_state = np.random.get_state()  # noqa: NPY002
        return (
            torch.get_num_threads(),
            torch.get_rng_state().tolist(),
            random.getstate(),
            numpy_state[1].tolist(),
            numpy_state[2],
        )

    before = global_states()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        search = make_search()
        finish(search, fails_above(0.3))
        search.surrogate()
    assert global_states() == before
    torch.rand(3)
    random.random()
    assert finish(make_search()) == finish(make_search())


def test_looking_at_the_surrogate_changes_no_answer(make_search):
    quiet, watched = make_search(num_trials=6), make_search(num_trials=6)
    finish(quiet)
    while (trial := watched.ask()) is not None:
        watched.surrogate(11)
        watched.tell(trial, told(trial))
        watched.surrogate(11)
    assert watched.trials == quiet.trials
    view = watched.surrogate(11)
    assert (view.lrs[0], view.lrs[-1]) == (1e-4, 1.0)
    assert len(view.lrs) == len(view.mean) == len(view.std) == 11


def test_importing_the_search_loads_neither_torch_nor_botorch_and_says_nothing():
    code = "import sys, autolrs_cli.search; print({'torch', 'botorch', 'hydra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


@pytest.mark.parametrize(
    ("values", "reason", "step"),
    [
        ([2.0, math.nan, 2.0], "non_finite_loss", 2),
        ([2.0] * 9 + [3.5], "loss_above_untrained", 10),
        ([9.0] * 19 + [3.5, 3.4], "loss_above_untrained", 21),
        ([1e308] * 30, "loss_above_untrained", 30),
        ([2.0] * 8 + [9.0, 2.0], None, None),
        ([3.44] * 10, None, None),
        ([2.0], None, None),
    ],
)
def test_the_failure_rule(values, reason, step):
    found = FailureRule(1.5, 0.1).check(Curve(range(1, len(values) + 1), values, "train"), 2.3)
    assert (found and found.reason, found and found.step) == (reason, step)


def test_the_failure_rule_needs_something_to_compare():
    rule = FailureRule(1.5, 0.1)
    with pytest.raises(ValueError, match="curve"):
        rule.check(Curve([], [], "train"), 2.3)
    with pytest.raises(NonFiniteError, match="untrained_loss"):
        rule.check(Curve([1], [1.0], "train"), math.nan)
