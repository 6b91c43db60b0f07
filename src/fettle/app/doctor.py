"""What this machine can do, and the exact line that mends what it cannot."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    import torch

    from fettle.models.machine import has_bf16_matrices, num_threads

    _HAS_TORCH = True
except ModuleNotFoundError:
    _HAS_TORCH = False

_LEAST_FREE_BYTES = 5 * 2**30
_LEAST_MEMORY_BYTES = 4 * 2**30
_TRAIN = 'pip install "fettle-llm[train]"'


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is good, warning or missing; `mend` is a line to type, or empty."""

    subject: str
    state: str
    text: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class KnownFault:
    """Versions of a package that are known to be faulty: all below `fixed_in`."""

    package: str
    fixed_in: tuple[int, ...]
    why: str


KNOWN_FAULTS = (
    KnownFault("torch", (2, 6), "CVE-2025-32434: loading weights could run code"),
    KnownFault("transformers", (5, 3), "CVE-2026-4372: a model's config could have code fetched and run"),
    KnownFault("jinja2", (3, 1, 6), "CVE-2025-27516: a template could leave its sandbox"),
)


def examine(home: Path) -> list[Finding]:
    """Look at everything that a run depends on."""
    looks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _sqlite,
        _packages,
        _torch,
        _memory,
        lambda: _disk(home),
    )
    return [finding for look in looks for finding in look()]


def numbers_of(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with; a version on trial counts as the one before it.

    >>> numbers_of("2.13.0+cpu")
    (2, 13, 0)
    """
    released = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in released.group().split(".")] if released else []
    is_early = released is not None and re.match(r"\.?(?:a|b|rc|dev)", text[released.end() :]) is not None
    return (*numbers[:-1], numbers[-1] - 1) if is_early and numbers else tuple(numbers)


def fault_of(package: str, installed: str) -> KnownFault | None:
    """The known fault that an installed version has, if it has one."""
    for fault in KNOWN_FAULTS:
        numbers = numbers_of(installed)
        wide = max(len(numbers), len(fault.fixed_in))
        installed_wide, fixed_wide = ((*one, *[0] * (wide - len(one))) for one in (numbers, fault.fixed_in))
        if fault.package == package and installed_wide < fixed_wide:
            return fault
    return None


def _python() -> list[Finding]:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:3] < (3, 11, 13):
        return [
            Finding(
                "python",
                "warning",
                f"{text}: CVE-2025-4517, its tarfile filter can be bypassed (fettle itself unpacks no tar)",
                "install Python 3.11.13 or later",
            )
        ]
    return [Finding("python", "good", text)]


def _sqlite() -> list[Finding]:
    found = sqlite3.sqlite_version
    if numbers_of(found) < (3, 51, 3):
        return [
            Finding(
                "sqlite",
                "warning",
                f"{found}: below 3.51.3 a write-ahead log can be damaged when two programs write at once; "
                "distributions may have mended it under this number",
                "run one fettle at a time in a workspace, or install SQLite 3.51.3",
            )
        ]
    return [Finding("sqlite", "good", found)]


def _packages() -> list[Finding]:
    findings = []
    for package in ("torch", "transformers", "peft", "safetensors", "accelerate", "jinja2"):
        try:
            installed = version(package)
        except PackageNotFoundError:
            findings.append(Finding(package, "missing", "not installed: nothing can be trained or run", _TRAIN))
            continue
        fault = fault_of(package, installed)
        if fault is None:
            findings.append(Finding(package, "good", installed))
        else:
            needed = ".".join(map(str, fault.fixed_in))
            findings.append(
                Finding(package, "warning", f"{installed}: {fault.why}", f'pip install --upgrade "{package}>={needed}"')
            )
    return findings


def _torch() -> list[Finding]:
    if not _HAS_TORCH:
        return []
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    build = f"{torch.__version__}, built for " + (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else "the processor"
    )
    findings = [Finding("torch build", "good", build)]
    findings.append(Finding("devices", "good", ", ".join(devices) or f"processor, {num_threads()} cores"))
    if devices == [] and shutil.which("nvidia-smi"):
        findings.append(
            Finding(
                "cuda",
                "warning",
                "there is an NVIDIA driver, but torch sees no device",
                "uv pip install --torch-backend=auto --reinstall torch",
            )
        )
    text = "multiplied in hardware" if has_bf16_matrices() else "not multiplied in hardware; float32 is used"
    return [*findings, Finding("bf16", "good", text)]


def _memory() -> list[Finding]:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return []
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{total / 2**30:.1f} GiB"
    if total < _LEAST_MEMORY_BYTES:
        return [Finding("memory", "warning", f"{text}: enough for the bundled base only", "base=bundled")]
    return [Finding("memory", "good", text)]


def _disk(home: Path) -> list[Finding]:
    place = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    try:
        free = shutil.disk_usage(place).free
    except OSError as problem:
        return [Finding("disk", "warning", f"{place}: {problem.strerror}", "FETTLE_HOME=/some/folder fettle …")]
    text = f"{free / 2**30:.1f} GiB free at {place}"
    if not os.access(place, os.W_OK):
        return [Finding("disk", "warning", f"{text}, which cannot be written", "FETTLE_HOME=/some/folder fettle …")]
    if free < _LEAST_FREE_BYTES:
        return [Finding("disk", "warning", f"{text}: a run may fill it", "FETTLE_HOME=/a/larger/disk fettle …")]
    return [Finding("disk", "good", text)]
