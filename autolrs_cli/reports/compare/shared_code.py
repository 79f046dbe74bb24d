"""Whether runs were made by the same code, as far as they have executed the same modules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from autolrs_cli.reports.compare.run_record import RunRecord


def code_by_module(run: RunRecord) -> Mapping[str, str]:
    """Return module -> hash of the code that the run can have executed; empty: its journal does not tell."""
    code = run.started.get("code")
    return {str(module): str(digest) for module, digest in code.items()} if isinstance(code, dict) else {}


def code_as_a_whole(run: RunRecord) -> str:
    """Return the version of all code, by which runs are compared whose journals tell no modules."""
    # Of other runs it says nothing: arms do not execute the same modules.
    return "recorded by module" if code_by_module(run) else str(run.started.get("code_version"))


def odd_modules(runs: Sequence[RunRecord]) -> list[tuple[RunRecord, list[str]]]:
    """Return the runs that executed a module in another state than most runs that executed it, and those modules.

    There are none exactly if any two runs agree in all modules that both executed.
    """
    codes = [code_by_module(run) for run in runs]
    states: dict[str, Counter[str]] = defaultdict(Counter)
    for code in codes:
        for module, digest in code.items():
            states[module][digest] += 1
    usual = {module: counts.most_common(1)[0][0] for module, counts in states.items()}
    found = [
        (run, sorted(module for module, digest in code.items() if digest != usual[module]))
        for run, code in zip(runs, codes, strict=True)
    ]
    return [(run, modules) for run, modules in found if modules]
