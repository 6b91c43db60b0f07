"""Two texts that are compared: what the tokenizer makes of them, and which of the two each token belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

from fettle.models.forward import only_reading, read_hidden
from fettle.models.load import OpenModel, open_model
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import Layout
from fettle.tokens.running import inputs_of

PAIRS = [("a man dances", "a man is dancing now"), ("tea", "fresh water"), ("a man is dancing", "tea")]
WORDS = ["a", "man", "dances", "is", "dancing", "now", "tea", "fresh", "water", "[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights that was made for two kinds of tokens, with a tokenizer of words."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join([*WORDS, "[MASK]"]) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS) + 1,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=WORDS.index("[PAD]"),
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    return folder


def rows_of(model: OpenModel) -> list[Example]:
    """The pairs, every token read; and one text alone."""
    rows = []
    for text, other in PAIRS:
        ids, kinds, _ = model.tokenizer.encode_compared(text, other)
        rows.append(Example(np.asarray(ids), reads_of(ids), kinds=np.asarray(kinds)))
    alone, _ = model.tokenizer.encode_whole("a man")
    return [*rows, Example(np.asarray(alone), reads_of(alone))]


def reads_of(ids: list[int]) -> TokenReads:
    return TokenReads.of(list(range(len(ids))), [0] * len(ids), [1.0] * len(ids))


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_hidden_states_are_those_of_a_plain_padded_run(bert: Path, layout: Layout) -> None:
    model = open_model(bert, "trunk")
    rows = rows_of(model)
    with only_reading(model.network):
        found = read_hidden(model.network, inputs_of(model, make_batch(rows, layout), layout))

    plain = AutoModel.from_pretrained(bert, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(bert)
    texts, others = zip(*PAIRS, strict=True)
    with torch.no_grad():
        two = tokenizer(list(texts), list(others), padding=True, return_tensors="pt")
        one = tokenizer("a man", return_tensors="pt")
        wanted = torch.cat(
            [plain(**two).last_hidden_state[two["attention_mask"].bool()], plain(**one).last_hidden_state[0]]
        )
        alike = {**two, "token_type_ids": torch.zeros_like(two["token_type_ids"])}
        without = plain(**alike).last_hidden_state[two["attention_mask"].bool()]
    assert float((found - wanted).abs().max()) <= 1e-6 * float(wanted.abs().max())
    assert float((without - wanted[: len(without)]).abs().max()) > 1e-2, "kinds must matter for the law to say anything"


def test_ids_and_kinds_are_those_of_the_tokenizer_and_the_longer_text_is_cut(bert: Path) -> None:
    tokenizer = open_model(bert, "trunk").tokenizer
    ids, kinds, num_cut = tokenizer.encode_compared("a man", "tea is fresh water now", 7)
    assert tokenizer.inner.convert_ids_to_tokens(ids) == ["[CLS]", "a", "man", "[SEP]", "tea", "is", "[SEP]"]
    assert kinds == [0, 0, 0, 0, 1, 1, 1]
    assert num_cut == 3


def test_texts_that_no_token_parts_are_parted_by_the_end_of_a_line(tiny_base: Path) -> None:
    tokenizer = open_model(tiny_base).tokenizer
    ids, _, num_cut = tokenizer.encode_compared("where is", " my parcel")
    assert tokenizer.decode(ids) == "where is\n my parcel"
    assert num_cut == 0
    assert ids != tokenizer.encode_compared("where", " is my parcel")[0]
    assert ids != tokenizer.encode_whole("where is my parcel")[0]


def test_a_model_without_kinds_is_given_none(tiny_base: Path) -> None:
    """Its tokenizer may tell them all the same."""
    model = open_model(tiny_base, "trunk")
    ids, _, _ = model.tokenizer.encode_compared("where is", "my parcel")
    kinds = np.asarray([0] * 3 + [1] * (len(ids) - 3))
    plain = Example(np.asarray(ids), reads_of(ids))
    with_kinds = Example(np.asarray(ids), reads_of(ids), kinds=kinds)
    for layout in ("padded", "packed"):
        with only_reading(model.network):
            first, second = (
                read_hidden(model.network, inputs_of(model, make_batch([row], layout), layout))
                for row in (plain, with_kinds)
            )
        assert torch.equal(first, second)
