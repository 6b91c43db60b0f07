"""An encoder of random weights that is small enough to open anywhere, with a vocabulary of whole words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

CONTROL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_tiny_encoder(folder: Path, texts: Iterable[str], *, seed: int = 0, has_word_head: bool = True) -> Path:
    """A two-layer BERT over the words of the texts, with or without the layers that say words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text)})
    vocabulary = {word: place for place, word in enumerate([*CONTROL, *words])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    around = [(text, vocabulary[text]) for text in ("[CLS]", "[SEP]")]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=around
    )
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), CONTROL, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **named)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,  # at the usual 0.02 hardly any mistake would show
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BertForMaskedLM(config)
    (network if has_word_head else network.bert).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder
