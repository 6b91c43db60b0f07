"""What this machine is, as far as running a model goes: device, number format, threads, memory."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import sys
import time
from pathlib import Path

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's mallopt
_KEEP_BYTES = 1 << 30
_PREPARED_PRODUCTS = "64"
# Below this the casts cost what the products save: 256 wide, a step took 0.164 s in bf16 and 0.165 s in float32 on two
# AVX-512-BF16 cores, with twice the memory.
_MIN_WIDTH_FOR_BF16 = 512
_PROBED_TOKENS, _PROBES = 512, 5
_COMPILE_SECONDS, _SHARE_WON_BY_COMPILING = 30, 0.06
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


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says that memory ran out; torch has a class for that on accelerators only."""
    if isinstance(problem, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(problem) for words in ("can't allocate memory", "not enough memory"))


def products_per_second(dtype: torch.dtype, width: int, inner: int) -> float:
    """Floating-point operations a second of the model's own matrix products, timed here, on all threads."""
    left, right = torch.ones(_PROBED_TOKENS, width, dtype=dtype), torch.ones(inner, width, dtype=dtype)
    fastest = math.inf
    for _ in range(_PROBES):
        began = time.perf_counter()
        left @ right.T
        fastest = min(fastest, time.perf_counter() - began)
    return 2 * _PROBED_TOKENS * width * inner / fastest


def product_shape(config: object) -> tuple[int, int]:
    """Width and inner width of a model's layers, as its configuration names them."""
    width = int(getattr(config, "hidden_size", 0) or 512)
    return width, int(getattr(config, "intermediate_size", 0) or 4 * width)


def operations_per_token(config: object, *, is_full: bool) -> float:
    """Floating-point operations that learning from a token takes, about: the trunk's products, and their gradients."""
    width, inner = product_shape(config)
    layers = int(getattr(config, "num_hidden_layers", 0) or 12)
    forward = 2.0 * layers * (4 * width * width + 3 * width * inner)
    return forward * (3 if is_full else 2)


def choose_compile(wanted: str, run_seconds: float) -> tuple[bool, str]:
    """Whether layers are compiled, and why: `run_seconds` is what the run would take without."""
    if wanted != "auto":
        return wanted == "on", "asked for"
    won = run_seconds * _SHARE_WON_BY_COMPILING
    if won > _COMPILE_SECONDS:
        return True, f"about {won:.0f} s won over the run, for {_COMPILE_SECONDS} s of compiling"
    return False, f"about {won:.0f} s to win over the run, less than the {_COMPILE_SECONDS} s that compiling takes"


def dtype_named(name: str) -> torch.dtype:
    """The torch type of a number format that a plan names."""
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def num_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_pages() -> None:
    """Have the C library keep freed memory instead of giving it back to the kernel, and oneDNN keep little.

    Training frees and asks for the same large blocks in every step; each fresh page costs a fault. glibc only. And have
    oneDNN keep few prepared products: it prepares one for every length of a call, some 20 MB a step, and hardly any
    length comes again. Works before the first product only; an environment that says otherwise is left as it is.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _PREPARED_PRODUCTS)
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
