"""A base opened to look at rows with: a decoder counts tokens as training would, an encoder embeds texts too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import AutoConfig

from fettle.app.opening import locate_base
from fettle.app.planning import PlanSettings
from fettle.app.terms import make_terms
from fettle.app.workshop.looking import Lens
from fettle.data.records import Record, Row, texts_of
from fettle.generation.embedding import TextEmbedder
from fettle.models.attention import attention_of
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task, task_names
from fettle.tasks.task import AUTO


def open_lens(workspace: Workspace, base: str) -> Lens:
    """Open what `--base` names. Models that read in both directions embed texts."""
    source = locate_base(workspace, base, seed=0)
    config = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    if attention_of(config) == "causal":
        most_tokens = int(getattr(config, "max_position_embeddings", 0) or 2048)
        return Lens(_counter(open_tokenizer(source.folder)), most_tokens)
    return _encoder_lens(source.folder)


def _encoder_lens(folder: Path) -> Lens:
    embedder = TextEmbedder(folder)

    def count(_task: str, _rows: Sequence[Row]) -> Callable[[Record], int]:
        return lambda record: sum(embedder.num_tokens(text) for text in texts_of(record))

    return Lens(count, embedder.most_tokens, embedder)


def _counter(tokenizer: ModelTokenizer) -> Callable[[str, Sequence[Row]], Callable[[Record], int]]:
    def count(task: str, rows: Sequence[Row]) -> Callable[[Record], int]:
        if task not in task_names():
            return lambda record: sum(len(tokenizer.encode_plain(text)) for text in texts_of(record))
        known = open_task(task)
        method = known.method(known.choose(AUTO, True, rows))
        settings = PlanSettings(task=task, data="")
        encoder = method.encoder(make_terms(settings, tokenizer, known.survey(rows), "causal", 0))

        def longest(record: Record) -> int:
            examples = encoder.examples(record, "")
            return max((example.num_tokens + example.num_cut_tokens for example in examples), default=0)

        return longest

    return count
