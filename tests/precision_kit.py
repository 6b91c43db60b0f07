"""Float64 without the casts to float32 that models have in their norms, rotary angles, softmax and losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softmax
from torch.overrides import TorchFunctionMode


class Lifted(TorchFunctionMode):
    """Inside, what asks for float32 gets float64: in the softmax of eager attention alone, or wherever it is asked.

    Backward passes written in Python are out of reach: autograd runs them outside.
    """

    def __init__(self, *, only_softmax: bool) -> None:
        super().__init__()
        self._only_softmax = only_softmax

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self._only_softmax or func is softmax:
            func = Tensor.double if func is Tensor.float else func
            args = tuple(_doubled(value) for value in args)
            kwargs = {name: _doubled(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)


def _doubled(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value
