"""The weights that learn, twice where it must be: as the model computes with them, and as the optimizer moves them.

In bfloat16 a weight of 1 takes no step smaller than 0.004. So the model computes with rounded copies, and float32
originals, the masters, gather the gradients and take the steps. In float32 both are the same tensors.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fettle.errors import IncompatibleModel
from fettle.models.load import OpenModel


class Learner:
    """Holds the masters of a model's learning weights, by name, in a fixed order."""

    def __init__(self, model: OpenModel, dtype: torch.dtype) -> None:
        self._model = model
        self._computed = model.trainable()
        self._exact_dtype = next(iter(self._computed.values())).dtype
        self.is_rounded = torch.finfo(dtype).bits < torch.finfo(torch.float32).bits
        self.weights: dict[str, torch.nn.Parameter] = self._computed
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        if self.is_rounded:
            self.weights = {
                name: torch.nn.Parameter(weight.detach().clone()) for name, weight in self._computed.items()
            }
            _cast(model, dtype)
            for name, weight in self._computed.items():
                hook = weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                    _hand_over_to(self.weights[name])
                )
                self._hooks.append(hook)

    def publish(self) -> None:
        """Let the model compute with what the masters are now."""
        if self.is_rounded:
            with torch.no_grad():
                torch._foreach_copy_(list(self._computed.values()), list(self.weights.values()))

    def forget_gradients(self) -> None:
        """Drop what a step that was not finished has gathered."""
        for weight in (*self.weights.values(), *self._computed.values()):
            weight.grad = None

    def restore(self, stored: dict[str, Tensor]) -> None:
        """Take over the weights of a checkpoint."""
        if {name: weight.shape for name, weight in self.weights.items()} != {n: t.shape for n, t in stored.items()}:
            raise IncompatibleModel(
                "the checkpoint holds other weights than those that learn",
                expected="the base and the adapter settings of the run that it comes from",
            )
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(stored[name])
        self.publish()

    def finish(self) -> None:
        """Leave the model with the masters themselves; weights that did not learn stay rounded."""
        for hook in self._hooks:
            hook.remove()
        if self.is_rounded:
            _cast(self._model, self._exact_dtype)
            with torch.no_grad():
                for name, weight in self._computed.items():
                    weight.copy_(self.weights[name])


def _cast(model: OpenModel, dtype: torch.dtype) -> None:
    """Weights only: buffers such as the frequencies of rotary positions keep their precision."""
    for weight in model.network.parameters():
        weight.data = weight.data.to(dtype)


def _hand_over_to(master: torch.nn.Parameter) -> Callable[[Tensor], None]:
    """Add a fresh gradient to the master's, in its precision, and free it."""

    def hand_over(weight: Tensor) -> None:
        if weight.grad is not None:
            fresh = weight.grad.to(master.dtype)
            master.grad = fresh if master.grad is None else master.grad.add_(fresh)
            weight.grad = None

    return hand_over
