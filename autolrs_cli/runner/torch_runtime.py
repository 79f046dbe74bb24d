"""Process-wide settings of torch: threads and determinism."""

from __future__ import annotations

import os

import torch
import torch.utils.deterministic

from autolrs_cli.contracts import EvalSplit, Position
from autolrs_cli.runner.compiling import compile_deterministically
from autolrs_cli.runner.gpu_share import bound_memory
from autolrs_cli.runner.plan import Plan
from autolrs_cli.settings import RuntimeSettings
from autolrs_cli.training.shared_memory import free_bytes, require_room

# What no run of ours comes near.
_PLENTY_BYTES = 32 << 30
_HELD_OUT: tuple[EvalSplit, ...] = ("choose", "target")


def prepare(runtime: RuntimeSettings, threads: int) -> None:
    """Set torch's threads, and its kernels to deterministic ones where asked for.

    Results on the CPU depend on the number of threads, so it is pinned and recorded.
    """
    bound_memory()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(runtime.deterministic)
    if runtime.deterministic:
        # cuBLAS is deterministic only with a fixed workspace, read when CUDA starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Overwriting fresh memory with NaN finds bugs but costs a pass over every new tensor.
        # It is a property of the module's class, which type checkers do not see.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    if runtime.compile != "none" and runtime.deterministic:
        compile_deterministically()
    torch.backends.cudnn.benchmark = not runtime.deterministic
    # Convolutions default to TF32 on CUDA, which is not what a record that says fp32 means.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = runtime.precision != "fp32"


def require_shared_memory(plan: Plan) -> None:
    """Check that loader workers will have room for their batches; where in doubt, a batch of each stream is read.

    Raises:
        ConfigError: if they will not.
    """
    workers, free = plan.settings.runtime.workers, free_bytes()
    if workers == 0 or free is None or free >= _PLENTY_BYTES:
        return
    recipe, seed = plan.recipe, plan.settings.seed
    held_out = [recipe.eval_stream(split).batch(0) for split in _HELD_OUT]
    for index, _ in enumerate(plan.phases):
        train = recipe.train_stream(index, seed).batch(Position(index, 0, 0))
        require_room(train, held_out, workers)


def device_name(device: torch.device) -> str:
    """Return the device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"
