"""What a command printed, and what must not be in it."""

from __future__ import annotations

from dataclasses import dataclass

# What a person must never see: Python's and Hydra's own words for developers.
NOISE = (
    "Traceback",
    'File "',
    "HYDRA_FULL_ERROR",
    "hydra.cc",
    "Error executing job",
    "object_type",
    "Exception",
)


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def assert_refusal(said: Said) -> None:
    assert said.code == 2, said
    assert said.out == ""
    assert "error: " in said.err
    for noise in NOISE:
        assert noise not in said.err, said.err
