"""Adapters that begin with the principal singular vectors of each weight (Meng et al. 2024, arXiv:2404.02948).

With W = U S V^T cut after R singular values, B = U sqrt(S / s), A = sqrt(S / s) V^T, where s is the adapter's scale.
The base's weight becomes the rest, W - s B A, so the model says at the start what it said before, and what learns is
the part of each weight that does most.

The same base, rank and scale give the same bits on the same machine, so a run that is gone on with makes the rest anew.
What is stored stands on the untouched base: what was learned less what it began with, s (B A - B0 A0), is an adapter of
twice the rank. Axes: I inputs, O outputs, R rank.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fettle.errors import RequestError

_START_A, _START_B = "start_a_RI", "start_b_OR"


def begin_with_principal_part(network: nn.Module) -> None:
    """Give every adapter of a network the principal part of its weight, and leave the base the rest."""
    for name, module, adapter in _adapters(network):
        base, matrix_a, matrix_b = module.base_layer, module.lora_A[adapter].weight, module.lora_B[adapter].weight
        rank, most = module.r[adapter], min(module.in_features, module.out_features)
        if rank > most:
            raise RequestError(
                f"{name} has {most} singular values, not {rank}", where="adapter.rank", attempt=f"adapter.rank={most}"
            )
        with torch.no_grad():
            is_turned = bool(module.fan_in_fan_out)
            weight_OI = base.weight.T if is_turned else base.weight
            left_OM, values_M, right_MI = torch.linalg.svd(weight_OI, full_matrices=False)
            roots_R = (values_M[:rank] / module.scaling[adapter]).sqrt()
            matrix_a.copy_(roots_R[:, None] * right_MI[:rank])
            matrix_b.copy_(left_OM[:, :rank] * roots_R)
            base.weight -= module.get_delta_weight(adapter)
        module.register_buffer(_START_A, matrix_a.detach().clone(), persistent=False)
        module.register_buffer(_START_B, matrix_b.detach().clone(), persistent=False)


def begins_with_principal_part(network: nn.Module) -> bool:
    """Whether the base under the adapters is what they left of it, so that what is stored must say so."""
    return any(hasattr(module, _START_A) for _, module, _ in _adapters(network))


def store_for_untouched_base(network: nn.Module, folder: Path) -> None:
    """Write the stored adapter of a network anew, as one of twice the rank that stands on the base as it was."""
    path, config_path = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    stored = load_file(path)
    for name, module, _ in _adapters(network):
        key_a, key_b = (f"base_model.model.{name}.lora_{which}.weight" for which in "AB")
        stored[key_a] = torch.cat([stored[key_a], _start(module, _START_A)], 0)
        stored[key_b] = torch.cat([stored[key_b], -_start(module, _START_B)], 1)
    save_file(stored, path, metadata={"format": "pt"})
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config |= {"r": 2 * config["r"], "lora_alpha": 2 * config["lora_alpha"]}  # their ratio is the scale
    config_path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _start(module: Any, name: str) -> Tensor:
    start: Tensor = getattr(module, name)
    return start.cpu()


def _adapters(network: nn.Module) -> Iterator[tuple[str, Any, str]]:
    """Adapters of linear layers: the layer's name in the network, the adapted layer, and the adapter's name."""
    for name, module in network.named_modules():
        if isinstance(module, LoraLinear):
            yield name, module, module.active_adapters[0]
