"""What a plan names, found and made ready: its rows as examples, its base, and the method that both allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import AutoConfig, PretrainedConfig

from fettle.app.bases.fresh import make_base
from fettle.app.bases.vectors import (
    make_vectors,
    names_vectors,
    refuse_unfit,
)
from fettle.app.opening import BaseSource, locate_base
from fettle.app.planning import PlanSettings
from fettle.app.preparing.dividing import divide, encode_rows, refuse_unlearnable
from fettle.app.preparing.ordering import values_of_column
from fettle.app.preparing.replaying import Replay, read_replay
from fettle.app.preparing.terms import longest_allowed, make_terms
from fettle.app.workshop.versions import load_rows
from fettle.data.records import Row
from fettle.errors import RequestError
from fettle.models.attention import attention_of
from fettle.models.config import NEW_BASE
from fettle.models.load import is_decoder, lacks_word_head
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task
from fettle.tasks.task import Method, Task, Terms
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example


@dataclass(frozen=True)
class Prepared:
    """Rows of a plan as examples, one list a row, in the parts that training and evaluation take."""

    version: StoredVersion
    task: Task
    method: Method
    terms: Terms
    source: BaseSource
    encoder: Encoder
    learned: list[list[Example]]
    held_out: list[tuple[Row, list[Example]]]
    num_test_rows: int
    lost: Counter[str]
    num_cut: int
    num_split: int
    order_values: list[str]
    replay: Replay | None = None
    has_fresh_word_head: bool = False

    @property
    def tokenizer(self) -> ModelTokenizer:
        """The base's."""
        return self.terms.tokenizer

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed set of answers, where there is one."""
        return self.terms.survey.labels

    @property
    def max_length(self) -> int:
        """Most tokens of a row."""
        return self.terms.max_length


def prepare(workspace: Workspace, settings: PlanSettings) -> Prepared:
    """Read, divide and encode the rows of a plan."""
    version, rows = load_rows(workspace, settings.data)
    if version.task != settings.task:
        raise RequestError(
            f"{version.label} holds rows for {version.task}, the recipe is for {settings.task}",
            where="data",
            attempt=f"a recipe for {version.task}: fettle recipes list",
        )
    task = open_task(settings.task)
    refuse_unlearnable(task, rows, version.label)
    if settings.prompt.too_long == "split" and not task.can_split:
        raise RequestError(
            "only plain text can be split: an answer apart from its question teaches nothing",
            where="prompt.too_long",
            attempt="prompt.too_long=cut",
        )
    learned_rows, held_out_rows, test_rows = divide(rows, version.label)
    base = settings.base
    if base == NEW_BASE:
        base = make_base(workspace, settings.shape, learned_rows, version.label)
    elif names_vectors(base):
        base = make_vectors(workspace, settings, learned_rows, version.label)
    source = locate_base(workspace, base, settings.seed)
    config = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    refuse_unfit(config, settings)
    known = [*learned_rows, *held_out_rows]
    method = _choose_method(task, settings, config, known)
    max_length = longest_allowed(config, settings.prompt)
    terms = make_terms(settings, open_tokenizer(source.folder), task.survey(known), attention_of(config), max_length)
    encoder = method.encoder(terms)

    def encode(others: Sequence[Row]) -> list[list[Example]]:
        return [row for _, row in encode_rows(others, encoder, settings.prompt, max_length, Counter())[0]]

    lost: Counter[str] = Counter()
    learned, num_long = encode_rows(learned_rows, encoder, settings.prompt, max_length, lost)
    held_out, _ = encode_rows(held_out_rows, encoder, settings.prompt, max_length, lost)
    return Prepared(
        version=version,
        task=task,
        method=method,
        terms=terms,
        source=source,
        encoder=encoder,
        learned=[examples for _, examples in learned],
        held_out=held_out,
        num_test_rows=len(test_rows),
        lost=lost,
        num_cut=num_long if settings.prompt.too_long == "cut" else 0,
        num_split=num_long if settings.prompt.too_long == "split" else 0,
        order_values=values_of_column([row for row, _ in learned], settings.training.order),
        replay=read_replay(workspace, settings, task, test_rows, encode),
        has_fresh_word_head=_has_fresh_word_head(source, method, settings),
    )


def _choose_method(task: Task, settings: PlanSettings, config: PretrainedConfig, rows: Sequence[Row]) -> Method:
    """The method that the plan asks for, or the one that base and rows allow."""
    writes = is_decoder(config)
    method = task.method(task.choose(settings.method, writes, rows))
    if method.network == "causal" and not writes:
        raise RequestError(
            f"{task.name} by the method {method.name} wants a base that writes, and {settings.base} reads",
            where="base",
            expected="a decoder",
            attempt="base=bundled",
        )
    if method.network == "masked" and writes:
        raise RequestError(
            f"{task.name} by the method {method.name} wants a base that reads, and {settings.base} writes",
            where="base",
            expected="an encoder such as BERT",
            attempt="method=causal",
        )
    if method.head is not None and settings.training.order == "loss":
        raise RequestError(
            "a fresh head finds no row easier than another",
            where="training.order",
            attempt="training.order=length, or a method without a head",
        )
    return method


def _has_fresh_word_head(source: BaseSource, method: Method, settings: PlanSettings) -> bool:
    """Whether the layers that say words begin at random; adapters would leave them so, and that is refused."""
    if method.network != "masked" or source.random_seed is not None or not lacks_word_head(source.folder):
        return False
    if settings.adapter.kind != "full":
        raise RequestError(
            f"{source.name} has no layers that say words, and {settings.adapter.kind} adapters would leave fresh ones"
            " as they were drawn",
            where="adapter.kind",
            expected="the layers to learn, or a base that was trained on hidden words",
            attempt="adapter.kind=full",
        )
    return True
