"""What torch decides for a whole process: threads, number types of the GPU, no gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from hwprune_device.job import Target
from hwprune_device.runtimes import BrokenProcessError

_OUT_OF_MEMORY = ("out of memory", "DefaultCPUAllocator", "ALLOC_FAILED", "bad_alloc")
"""What torch, its CPU allocator, cuBLAS and C++ say."""


def ready_process(target: Target, options: Mapping[str, Any]) -> None:
    """Set this process up for a target; a child has one, so nothing is put back."""
    torch.set_num_threads(target.threads)
    tf32 = target.precision == "tf32"
    # Torch's own default is tf32 in convolutions alone, which is neither.
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = options["cudnn_benchmark"]


def check_cuda() -> None:
    """See that CUDA starts in this process.

    Raises:
        ValueError: it does not, and why.
    """
    try:
        torch.cuda.init()
        # init alone succeeds where no kernel can be run, as with a build for other GPUs.
        torch.zeros(1, device="cuda")
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # the driver's reasons come as several kinds
        raise ValueError(
            f"the target asks for a GPU; CUDA does not start here: {_first_line(error)}; "
            "possible: a torch built for this board's driver, or device = cpu"
        ) from error


@contextmanager
def torch_errors(device: str) -> Iterator[None]:
    """Turn torch's errors into those that a batch understands.

    Raises:
        MemoryError: there was not enough.
        BrokenProcessError: CUDA failed in a way that lasts.
    """
    try:
        yield
    except RuntimeError as error:
        raise translated(error, device) from error


def translated(error: RuntimeError, device: str) -> BaseException:
    """What an error of torch means for the batch."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return MemoryError(_first_line(error))
    # Before the words are read: an error that lasts may speak of memory too.
    if device == "cuda" and not _cuda_answers():
        return BrokenProcessError(f"{type(error).__name__}: {_first_line(error)}")
    if any(words in str(error) for words in _OUT_OF_MEMORY):
        return MemoryError(_first_line(error))
    return error


def _cuda_answers() -> bool:
    """Whether CUDA still works: most of its errors make every later call fail too."""
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def _first_line(error: Exception) -> str:
    """The message without advice on environment variables that follows it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
