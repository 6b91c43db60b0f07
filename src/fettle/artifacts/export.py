"""A bundle for use elsewhere: a plain Hugging Face folder, with a proof that it answers as the bundle does.

Axes: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from fettle.errors import FettleError, RequestError
from fettle.models.forward import only_reading
from fettle.models.load import OpenModel, merge_adapter, open_model
from fettle.storage.publish import publishing_folder

MAX_RELATIVE_DIFFERENCE = 1e-5

Write = Callable[[OpenModel], list[tuple[int, ...]]]


@dataclass(frozen=True)
class Parity:
    """How the exported model differs from the bundle on the same prompts.

    `relative_difference` is the largest difference of a logit over the largest logit; `kl` the mean divergence of the
    next-token distributions, in nats; `same_answers` how many of `num_prompts` greedy answers are equal.
    """

    num_prompts: int
    num_positions: int
    relative_difference: float
    kl: float
    same_answers: int

    def as_json(self) -> dict[str, object]:
        """The figures as plain data."""
        return asdict(self)


def export_hf(model: OpenModel, folder: Path, prompts: Sequence[Sequence[int]], write: Write) -> Parity:
    """Merge, write, open what was written, and compare; a folder that does not answer alike is not published.

    `write` gives a model's greedy answers to the prompts.
    """
    if folder.exists():
        raise RequestError(
            "there is something at that place already", where=str(folder), attempt="--out with another folder"
        )
    before = [_logits(model, prompt) for prompt in prompts]
    said = write(model)
    merged = merge_adapter(model)
    with publishing_folder(folder) as staged:
        merged.network.save_pretrained(staged, safe_serialization=True)
        merged.tokenizer.save(staged)
        reopened = open_model(staged)
        after = [_logits(reopened, prompt) for prompt in prompts]
        same = sum(one == other for one, other in zip(said, write(reopened), strict=True))
        parity = _compare(before, after, same)
        if parity.relative_difference > MAX_RELATIVE_DIFFERENCE:
            raise FettleError(
                f"the exported model differs from the bundle by {parity.relative_difference:.1e} of the largest logit",
                where=str(folder),
                expected=f"at most {MAX_RELATIVE_DIFFERENCE:.0e}; nothing was written",
            )
    return parity


def _logits(model: OpenModel, prompt: Sequence[int]) -> torch.Tensor:
    """Logits [T, V] of a prompt through transformers' own attention, as another program would run it."""
    with only_reading(model.network):
        model.network.set_attn_implementation("sdpa")
        ids = torch.tensor([list(prompt)], device=model.device)
        logits: torch.Tensor = model.network(input_ids=ids, use_cache=False).logits[0].float()
    return logits


def _compare(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], same_answers: int) -> Parity:
    largest = max(float(logits.abs().max()) for logits in before)
    apart = max(float((one - other).abs().max()) for one, other in zip(before, after, strict=True))
    divergences = [
        torch.nn.functional.kl_div(other.log_softmax(-1), one.log_softmax(-1), log_target=True, reduction="none").sum(
            -1
        )
        for one, other in zip(before, after, strict=True)
    ]
    positions = torch.cat(divergences)
    return Parity(len(before), len(positions), apart / largest, float(positions.mean().clamp(min=0)), same_answers)
