"""A model opened to look at rows with: a decoder counts tokens as training would, what embeds texts embeds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transformers import AutoConfig

from fettle.app.evaluating import asker_for
from fettle.app.listing import find_bundle
from fettle.app.opening import locate_base, open_base, open_tuned
from fettle.app.planning import PlanSettings
from fettle.app.preparing.terms import make_terms
from fettle.app.workshop.looking import Lens
from fettle.data.records import Record, Row, texts_of
from fettle.generation.embedding import MOST_TOKENS, TextEmbedder
from fettle.models.attention import attention_of
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task, task_names
from fettle.tasks.task import AUTO


def open_lens(workspace: Workspace, base: str) -> Lens:
    """Open what `--base` names. Bundles that learned to embed texts do so, and bases that read in both directions."""
    bundle = find_bundle(workspace, base)
    if bundle is not None:
        asker = asker_for(bundle)
        if asker.method.embedder is not None:
            model = open_tuned(workspace, bundle)
            return _embedding_lens(asker.method.embedder(asker.terms(model), model, 0))
    source = locate_base(workspace, base, seed=0)
    config = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    if attention_of(config) == "causal":
        most_tokens = int(getattr(config, "max_position_embeddings", 0) or 2048)
        return Lens(_counter(open_tokenizer(source.folder)), most_tokens)
    model = open_base(source, "trunk")
    return _embedding_lens(TextEmbedder(model, "mean", min(MOST_TOKENS, model.context_length)))


def _embedding_lens(embedder: TextEmbedder) -> Lens:
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
