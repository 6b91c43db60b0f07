"""What this machine is, as far as running a model goes: device, number format, threads, memory."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's mallopt
_KEEP_BYTES = 1 << 30
# Below this the casts cost what the products save: 256 wide, a step took 0.164 s in bf16 and 0.165 s in float32 on two
# AVX-512-BF16 cores, with twice the memory.
_MIN_WIDTH_FOR_BF16 = 512
_BF16_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16 ", "asimdbf16")


def choose_device() -> torch.device:
    """The accelerator if there is one, else the processor."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")


def has_bf16_matrices() -> bool:
    """Whether the machine multiplies bf16 matrices in hardware; without that, bf16 is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in _BF16_CPU_FLAGS)


def choose_dtype(wanted: str, hidden_size: int) -> str:
    """`auto` is bfloat16 where the machine has bf16 matrix instructions and the model is wide enough to gain."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if hidden_size >= _MIN_WIDTH_FOR_BF16 and has_bf16_matrices() else "float32"


def dtype_named(name: str) -> torch.dtype:
    """The torch type of a number format that a plan names."""
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def num_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_pages() -> None:
    """Have the C library keep freed memory instead of giving it back to the kernel.

    Training frees and asks for the same large blocks in every step; each fresh page costs a fault. glibc only.
    """
    if sys.platform != "linux":
        return
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
    except (OSError, AttributeError):
        return  # another C library: nothing is lost but speed


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far, and the device's, where there is one."""
    unit = 1 if sys.platform == "darwin" else 1024
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return host + (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)
