"""Which weights of a base learn, and how far below the top each of them stands.

Weights that do not learn keep no gradient, and what lies below the lowest that does is not differentiated at all: the
products of its backward pass are never made, and nothing is kept for them.

A head that is tied to the table of embeddings stands with the embeddings, below all layers: to learn it alone would
change what every layer is given, and only half of its gradient would be known. So it learns with `all`, or by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from torch.nn import Parameter
from transformers import PreTrainedModel

from fettle.errors import RequestError, near_misses
from fettle.models.config import ALL, BIASES, HEAD, LAST
from fettle.models.layers import repeated_layers

_EMBEDDINGS = ("embed", "wte", "wpe")


def choose_weights(network: PreTrainedModel, learn: str, *, has_own_head: bool = False) -> None:
    """Have the weights learn that `adapter.learn` names, and no others.

    `has_own_head`: a head that is not part of the network learns in any case, so the network may have none that does.
    """
    weights = dict(network.named_parameters())
    chosen = _chosen(network, weights, learn)
    if not chosen and not has_own_head:
        raise RequestError(
            "the base has no head of its own to learn",
            where="adapter.learn",
            expected="a head that is not its table of embeddings",
            attempt=f"adapter.learn={LAST}1, or a method with a head",
        )
    for name, weight in weights.items():
        weight.requires_grad_(name in chosen)


def depths(network: PreTrainedModel) -> dict[str, int]:
    """How far below the top each weight stands, by name: 0 above the layers, 1 in the last, embeddings lowest."""
    layers = repeated_layers(network)
    of_layer = {id(weight): len(layers) - place for place, one in enumerate(layers) for weight in one.parameters()}
    weights = dict(network.named_parameters())
    head = _head(network, weights)
    return {
        name: of_layer.get(id(weight), len(layers) + 1 if _is_below(name) and name not in head else 0)
        for name, weight in weights.items()
    }


def learning_shares(network: PreTrainedModel, decay: float) -> dict[str, float]:
    """The share of the learning rate that each weight gets: `decay` to the power of its depth."""
    return {name: decay**depth for name, depth in depths(network).items()}


def _chosen(network: PreTrainedModel, weights: Mapping[str, Parameter], learn: str) -> set[str]:
    if learn == ALL:
        return set(weights)
    head = _head(network, weights)
    if learn == HEAD:
        return head
    if learn == BIASES:
        biases = {name for name in weights if name.rpartition(".")[2] == "bias"}
        if not biases:
            raise RequestError(
                "the base has no bias terms",
                where="adapter.learn",
                attempt=f"adapter.learn={LAST}1, or adapter.kind=lora",
            )
        return biases | head
    if learn.startswith(LAST):
        return _last(network, int(learn.removeprefix(LAST)))
    return _named(weights, learn)


def _last(network: PreTrainedModel, count: int) -> set[str]:
    num_layers = len(repeated_layers(network))
    if count > num_layers:
        raise RequestError(
            f"the base has {num_layers} layers, not {count}",
            where="adapter.learn",
            attempt=f"adapter.learn={LAST}{num_layers}",
        )
    return {name for name, depth in depths(network).items() if depth <= count}


def _named(weights: Mapping[str, Parameter], learn: str) -> set[str]:
    chosen: set[str] = set()
    for pattern in map(str.strip, learn.split(",")):
        matched = {name for name in weights if fnmatchcase(name, pattern)}
        if not matched:
            raise RequestError(
                f"no weight has a name like {pattern!r}",
                where="adapter.learn",
                expected=f"names of weights, * for any characters: {near_misses(pattern, weights)}",
            )
        chosen |= matched
    return chosen


def _head(network: PreTrainedModel, weights: Mapping[str, Parameter]) -> set[str]:
    """All that stands outside the trunk; weights that are tied to it are listed there."""
    trunk = {id(weight) for weight in network.base_model.parameters()}
    return {name for name, weight in weights.items() if id(weight) not in trunk}


def _is_below(name: str) -> bool:
    return any(word in name for word in _EMBEDDINGS)
