"""The weights that learn, twice where it must be: as the model computes with them, and as the optimizer moves them.

In bfloat16 a weight of 1 takes no step smaller than 0.004. So the model computes with rounded copies, and float32
originals, the masters, gather the gradients and take the steps. In float32 both are the same tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        self.average: dict[str, Tensor] = {}
        self._exact = _what_rounding_loses(model, dtype) if self.is_rounded and model.adapted is None else {}
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

    def average_in(self, decay: float, steps: int) -> None:
        """After a step, the `steps`-th: let the average follow the masters. Early on it remembers less than `decay`."""
        if not self.average:
            return
        memory = min(decay, (1 + steps) / (10 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - memory)

    def begin_average(self, stored: dict[str, Tensor]) -> None:
        """Keep an average of the masters from now on: the one of a checkpoint, or, where that has none, a new one."""
        begun = stored or self.weights
        self.average = {name: begun[name].detach().to(weight).clone() for name, weight in self.weights.items()}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the model computes with the average, where one is kept."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def keep_average(self) -> None:
        """Make the average, where one is kept, the weights that the model is left with."""
        self._exchange()
        self.average = {}

    def _exchange(self) -> None:
        """Masters and average change places; no number is copied."""
        for name, mean in self.average.items():
            weight = self.weights[name]
            weight.data, self.average[name] = mean, weight.data
        if self.average:
            self.publish()

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
        """Leave the model with the masters themselves.

        Under adapters the weights of the base stay rounded: they are not what is kept of the model.
        """
        for hook in self._hooks:
            hook.remove()
        if self.is_rounded:
            _cast(self._model, self._exact_dtype)
            with torch.no_grad():
                for name, weight in self._computed.items():
                    weight.copy_(self.weights[name])
                for name, exact in self._exact.items():
                    self._model.network.get_parameter(name).copy_(exact)


def _what_rounding_loses(model: OpenModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights that do not learn and that `dtype` does not hold as they are. Most bases are published rounded."""
    still = ((name, weight.detach()) for name, weight in model.network.named_parameters() if not weight.requires_grad)
    return {name: weight.cpu() for name, weight in still if not torch.equal(weight.to(dtype).to(weight.dtype), weight)}


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
