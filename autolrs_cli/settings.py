"""The schema of a composed configuration: types, ranges and meanings, but no default values.

Defaults live in the YAML tree (`autolrs_configs`) alone. Pydantic collects every violation, so that a person
mends a configuration in one go. Groups that build objects (`recipe`, `data`, `model`, `optimizer`,
`original_schedule` and baseline `schedule`s) stay plain dictionaries here: the class named by their `_target_`
checks its own arguments, which is what lets a user add one without touching this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from autolrs_cli.errors import ConfigError
from autolrs_cli.values import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    ProperFraction,
    complaint,
)

# JSON readers and torch's generators take whole numbers of 64 bits.
MAX_WHOLE = 2**63 - 1
# More threads or loader processes than this are a slip of the hand that would bring the machine down.
MOST_PROCESSORS = 1024
SearchedName = Literal["autolrs", "random"]
SEARCHED: tuple[str, ...] = get_args(SearchedName)
"""Schedules whose LRs are found during the run."""


Compile: TypeAlias = Literal["none", "default", "reduce-overhead"]
"""How the loss is compiled; the words but the first are torch.compile's."""


class Section(BaseModel):
    """A part of the configuration in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Named(Section):
    """A group whose only content so far is which option was chosen."""

    name: Literal["none"]


class EmaSettings(Section):
    """`average=ema`: an exponential moving average of the weights."""

    name: Literal["ema"]
    window: PositiveFraction | None
    """The average reaches back over about this share of the steps so far."""
    decay: ProperFraction | None
    """Weight of the old average at each step."""
    batchnorm_batches: PositiveInt
    """Training micro-batches that BatchNorm's statistics are estimated on before an evaluation."""

    @model_validator(mode="after")
    def _one_of_two(self) -> EmaSettings:
        if (self.window is None) == (self.decay is None):
            raise ValueError("have either window or decay, and null for the other")
        return self


class TailSettings(Section):
    """`average=tail`: the plain mean of the weights over the last share of the steps so far."""

    name: Literal["tail"]
    share: ProperFraction
    """Share of the steps so far that is averaged, at least; the oldest steps leave the mean in segments."""
    segments: PositiveInt
    """How many segments the share is cut into; that many copies of the weights are held, and two more."""
    batchnorm_batches: PositiveInt
    """Training micro-batches that BatchNorm's statistics are estimated on before an evaluation."""


AverageSettings: TypeAlias = EmaSettings | TailSettings
"""How weights are averaged beside the raw ones."""


class RuntimeSettings(Section):
    """Where and how it is computed; none of it is part of the method."""

    device: Literal["auto", "cpu", "cuda"]
    """`auto` takes CUDA where there is one."""
    precision: Literal["fp32", "bf16"]
    """`bf16` computes forward and backward under autocast; weights and optimizer stay in float32."""
    threads: Annotated[int, Field(strict=True, gt=0, le=MOST_PROCESSORS)] | None
    """CPU threads of torch; null takes the cores this process may use. Results depend on it, so it is recorded."""
    workers: Annotated[int, Field(strict=True, ge=0, le=MOST_PROCESSORS)]
    """Loader processes; 0 loads in the training process. Results do not depend on it."""
    compile: Compile = "none"
    """Compile forward and backward pass (torch.compile; needs a compiler): `default`, or `reduce-overhead` (with CUDA
    graphs, on batches padded to few shapes). Results differ in rounding and dropout, so a comparison must share it."""
    deterministic: bool
    """Deterministic kernels only: same seed, machine and threads give the same result bit for bit."""
    max_seconds: PositiveFloat | None
    """Stop cleanly after this many seconds, with exit code 75; null: no limit."""
    processes: Annotated[int, Field(strict=True, gt=0, le=MOST_PROCESSORS)] = 1
    """Processes that share each global batch; a run on several is another run than on one. Given here, `autolrs` starts
    them on this machine; torchrun and srun say it by themselves."""
    timeout_seconds: PositiveFloat = 600.0
    """After so long without an answer, one of several processes is taken for lost: longer than an evaluation takes."""
    snapshot: Literal["auto", "device", "host"]
    """Where the copy of the training state lies; `auto`: on the device where it fits, else in host memory."""


class RunSettings(Section):
    """How long the run is, and what it leaves behind."""

    dir: Annotated[str, Field(min_length=1)] | None
    """Run directory; null: runs/<recipe>/<schedule>/seed<seed>/<time>-<id>."""
    init_from: Annotated[str, Field(min_length=1)] | None
    """Directory of a run of the same model that is done: this one starts from its final weights (`model.safetensors`),
    with an optimizer and a schedule of its own. null: from weights drawn from the seed."""
    max_steps: PositiveInt
    """Kept optimizer steps: warm-up and training, discarded search steps not counted."""
    eval_every_steps: PositiveInt
    """Kept steps between two evaluations of the slice that decides targets."""
    full_eval_every_steps: PositiveInt | None
    """Kept steps between two full evaluations (decoding, for example), a multiple of `eval_every_steps`; null: only
    at the end. Recipes that have none ignore it."""
    log_every_steps: PositiveInt
    """Kept steps between two `step` events of the journal."""
    checkpoint_every_seconds: PositiveFloat
    """Seconds of training between two resume points; there is one at the start of every searched stage besides."""
    keep_best: bool
    """Whether to leave, beside the final weights, those at the best evaluation of the metric that has the target (of
    the recipe's, where there is none) in `model_best.safetensors`. Chosen on the slice that decides the target, so that
    their metric is no fair estimate."""
    stop_at_target: bool = False
    """Whether the run ends, as done, once its target counts as reached: after the second of two evaluations at or past
    it. The schedule stays that of the whole length."""
    config_dir: str | None
    """The folder given with --config-dir, which holds the recipe; written by `autolrs train`, not by hand."""

    @field_validator("full_eval_every_steps")
    @classmethod
    def _coincides(cls, value: int | None, info: ValidationInfo) -> int | None:
        every = info.data.get("eval_every_steps")
        if value is not None and every is not None and value % every:
            raise ValueError(f"be a multiple of run.eval_every_steps={every}")
        return value


class TargetSettings(Section):
    """A quality fixed beforehand, and where it comes from."""

    metric: str
    value: Annotated[float, Field(strict=True, allow_inf_nan=False)]
    margin: NonNegativeFloat = 0.0
    """Already taken off `value`; recorded so that the reader can put it back."""
    seeds: tuple[NonNegativeInt, ...] = ()
    """Calibration seeds; never used for reporting."""
    command: str | None = None
    """The command that made it."""
    data_fingerprint: str | None = None
    """Of the data that it was calibrated on; on others it means nothing. Null: any will do."""
    source: str | None = None
    """Where a published target comes from."""

    def fits(self, data_fingerprint: str) -> bool:
        """Return whether it was fixed on these data, as far as is known."""
        return self.data_fingerprint in (None, data_fingerprint)


class AutoLRSSettings(Section):
    """A linear warm-up that is not searched, then searched stages; `schedule=random` draws the LRs that are tried."""

    name: SearchedName
    warmup_steps: NonNegativeInt
    warmup_lr: PositiveFloat
    """LR at the end of the warm-up."""

    decays: ClassVar[bool] = False


class TensorBoardSettings(Section):
    """`tracker=tensorboard`: event files."""

    folder: Annotated[str, Field(min_length=1)]
    """Below the run directory, or a path of its own."""


class WandbSettings(Section):
    """`tracker=wandb`: a run of Weights & Biases."""

    mode: Literal["offline", "online"]
    """`offline`: kept in the run directory; `online`: sent to the server as the run goes on."""
    project: Annotated[str, Field(min_length=1)]
    entity: str | None
    """User or team; null: the person's default one."""


class MLflowSettings(Section):
    """`tracker=mlflow`: a run of MLflow."""

    uri: str | None
    """Database, folder or server; null: a database in the run directory."""
    experiment: Annotated[str, Field(min_length=1)]


class TrackerSettings(Section):
    """Experiment trackers that follow the run, several at once; one that is not chosen has no settings here."""

    name: Literal["none"] | None = None
    """`none`: nothing is tracked, whatever else stands here."""
    tensorboard: TensorBoardSettings | None = None
    wandb: WandbSettings | None = None
    mlflow: MLflowSettings | None = None

    @property
    def chosen(self) -> dict[str, TensorBoardSettings | WandbSettings | MLflowSettings]:
        """Settings of the trackers to use, by name."""
        found = {"tensorboard": self.tensorboard, "wandb": self.wandb, "mlflow": self.mlflow}
        return {} if self.name == "none" else {name: each for name, each in found.items() if each is not None}


class DashboardSettings(Section):
    """What is shown while training."""

    name: Literal["live", "plain", "none"]


class Settings(Section):
    """A composed configuration, checked."""

    recipe: dict[str, Any]
    data: dict[str, Any]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    original_schedule: dict[str, Any]
    search: dict[str, Any]
    published_search: dict[str, Any] = {}
    """What the recipe has to say of the published search, which reads it from here; other searches do not."""
    asked_of_model: dict[str, Any] = {}
    """What the data ask of the model at this scale, which reads it from here; other models do not."""
    average: Annotated[Named | AverageSettings, Field(discriminator="name")]
    scale: str
    target: TargetSettings | None
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_WHOLE)]
    runtime: RuntimeSettings
    run: RunSettings
    tracker: TrackerSettings
    dashboard: DashboardSettings

    @property
    def averaging(self) -> AverageSettings | None:
        """How weights are averaged; None: they are not."""
        return None if isinstance(self.average, Named) else self.average


def parse(section: type[Section], values: Mapping[str, Any], at: str = "") -> Any:
    """Return `values` as a checked `section`.

    Args:
        section: the class to build.
        values: plain containers, as Hydra resolved them.
        at: key under which `values` stands, for messages.

    Raises:
        ConfigError: with one message per violation.
    """
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError([_message(e, at, values) for e in error.errors()]) from None


def _message(error: Any, at: str, values: Mapping[str, Any]) -> str:
    parts = _key(error["loc"], values)
    if error["type"] == "extra_forbidden":  # its key is the person's, and may be anything
        parts = [*_key((*error["loc"][:-1], "any"), values)[:-1], str(error["loc"][-1])]
    key = ".".join([at, *parts] if at else parts)
    if error["type"] == "extra_forbidden":
        return f"`{key}` is not a setting. Remove {key}."
    if error["type"] == "union_tag_invalid":
        options, given = error["ctx"]["expected_tags"], error["ctx"]["tag"]
        return f"`{key}.name` must be one of {options}, but got {key}.name={given!r}. Set {key}."
    if error["type"] == "missing":
        return f"`{key}` must be given. Set {key}."
    return complaint(key, error)


def _key(location: Sequence[Any], values: Mapping[str, Any]) -> list[str]:
    """Return the parts of the key that pydantic complains of.

    It puts the branch of a union into the location: at its end ("int", "constrained-float"), or before the key of a
    section that is chosen by its name ("average", "ema", "window").
    """
    parts: list[str] = []
    node: Any = values
    for place, part in enumerate(location):
        last = place == len(location) - 1
        if not str(part).isidentifier() or (isinstance(node, Mapping) and part not in node and not last):
            continue
        parts.append(str(part))
        node = node.get(part) if isinstance(node, Mapping) else None
    return parts
