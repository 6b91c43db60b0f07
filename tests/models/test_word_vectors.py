"""A table of word vectors as a model: what a token is given, at the ends of rows too, and what of the table learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from fettle.models.folders.safety import refuse_unsafe_folder
from fettle.models.forward import read_hidden
from fettle.models.vectors.architecture import WordVectors, WordVectorsConfig
from fettle.models.vectors.base import base_of_file
from fettle.models.vectors.reading import VectorFile
from fettle.models.vectors.words import Division, division_of, tokenizer_files, with_control_words, word_tokenizer
from fettle.tokens.batch import batch_examples
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.layout import lay_out

SETTINGS = settings(deadline=None)
WORDS, SIZE = 30, 4
ROWS = st.lists(st.lists(st.integers(2, WORDS - 1), min_size=1, max_size=9), min_size=1, max_size=5)


def network(window: int) -> WordVectors:
    torch.manual_seed(0)
    return WordVectors(WordVectorsConfig(WORDS, SIZE, window)).eval()


def beside(table: Tensor, row: list[int], window: int) -> Tensor:
    """Written out: each word's neighbours from left to right, zeros where the row has none. [T, (2 window + 1) D]"""
    nothing = torch.zeros(table.shape[1])
    return torch.stack(
        [
            torch.cat(
                [table[row[at]] if 0 <= at < len(row) else nothing for at in range(here - window, here + window + 1)]
            )
            for here in range(len(row))
        ]
    )


@SETTINGS
@given(rows=ROWS, window=st.integers(0, 3), layout=st.sampled_from(["packed", "padded"]))
def test_every_token_sees_the_words_beside_it_in_its_own_row(rows: list[list[int]], window: int, layout: str) -> None:
    model = network(window)
    reads = [TokenReads.of(list(range(len(row))), [0] * len(row), [1.0] * len(row)) for row in rows]
    examples = [Example(np.asarray(row, np.int64), read) for row, read in zip(rows, reads, strict=True)]
    inputs = lay_out(batch_examples(examples), layout, torch.device("cpu"), is_causal=False)

    expected = torch.cat([beside(model.words.weight, row, window) for row in rows])
    assert torch.equal(read_hidden(model, inputs), expected)


@SETTINGS
@given(rows=ROWS)
def test_without_a_window_the_mean_of_a_text_is_that_of_its_words(rows: list[list[int]]) -> None:
    model = network(0)
    for row in rows:
        hidden = model(torch.tensor([row])).last_hidden_state[0]
        assert torch.allclose(hidden.mean(0), model.words.weight[row].mean(0), atol=1e-7)


@pytest.mark.parametrize("window", [0, 2])
def test_nothing_leaks_between_rows(window: int) -> None:
    model = network(window)
    rows = torch.tensor([[2, 3, 4, 5, 6]])
    places = torch.tensor([[0, 1, 0, 1, 2]])
    hidden = model(rows, position_ids=places).last_hidden_state
    gradient = torch.autograd.grad(hidden[0, :2].sum(), model.words.weight)[0]
    assert set(torch.nonzero(gradient.abs().sum(-1))[:, 0].tolist()) == {2, 3}


def test_padding_counts_as_nothing() -> None:
    model = network(1)
    with torch.no_grad():
        model.words.weight[0] = 7.0
    hidden = model(torch.tensor([[2, 3, 0]]), torch.tensor([[1, 1, 0]])).last_hidden_state[0]
    assert torch.equal(hidden[:2], beside(model.words.weight, [2, 3], 1))


@SETTINGS
@given(
    ids=st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=8), row=st.lists(st.integers(0, WORDS - 1), min_size=1)
)
def test_what_learns_alone_moves_as_it_would_in_the_whole_table(ids: list[int], row: list[int]) -> None:
    whole, part = network(1), network(1)
    part.learn_only(torch.tensor(ids))
    assert [name for name, weight in part.named_parameters() if weight.requires_grad] == ["learned"]
    for model in (whole, part):
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=0.1, weight_decay=0.0)
        for _ in range(3):
            optimizer.zero_grad()
            (model(torch.tensor([row])).last_hidden_state ** 2).sum().backward()
            optimizer.step()
    start, end, other = network(1).words.weight, part.whole_table(), whole.whole_table()
    still = [word for word in range(WORDS) if word not in ids]
    assert torch.equal(end[ids], other[ids])
    assert torch.equal(end[still], start[still])


def test_the_folder_holds_the_whole_table_whichever_words_have_learned(tmp_path: Path) -> None:
    model = network(1)
    model.learn_only(torch.tensor([5, 3, 5]))
    with torch.no_grad():
        model.learned += 1
    model.save_pretrained(tmp_path)

    opened = AutoModel.from_pretrained(tmp_path)
    assert isinstance(opened, WordVectors)
    moved = opened.words.weight - network(1).words.weight
    assert torch.nonzero(moved.abs().sum(-1))[:, 0].tolist() == [3, 5]
    assert torch.equal(
        opened(torch.tensor([[3, 4]])).last_hidden_state, model(torch.tensor([[3, 4]])).last_hidden_state
    )
    assert [name for name, _ in opened.named_parameters()] == ["words.weight"]


def test_a_base_opens_from_its_folder_through_the_auto_classes(tmp_path: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    base = base_of_file(VectorFile(["the", "cat", "n't"], vectors, "GloVe text", 0, []), 2)
    for name, write in base.writers().items():
        write(tmp_path / name)
    refuse_unsafe_folder(tmp_path, needs_weights=True)

    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.model_type, config.hidden_size, config.window) == ("word_vectors", 20, 2)
    table = AutoModel.from_pretrained(tmp_path).get_input_embeddings().weight
    assert torch.equal(table[2:], torch.from_numpy(vectors))
    assert torch.equal(table[:2], torch.stack([torch.zeros(4), torch.from_numpy(vectors.mean(0))]))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("The cat couldn't!", add_special_tokens=False)["input_ids"] == [2, 3, 1, 4, 1]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
    fresh = AutoModel.from_config(config)
    assert isinstance(fresh.words, nn.Embedding) and fresh.words.weight.abs().max() <= 0.5 / 4


def test_a_file_s_own_vector_for_unknown_words_is_kept() -> None:
    vectors = np.asarray([[1, 1], [5, 6], [3, 3]], np.float32)
    base = base_of_file(VectorFile(["the", "<unk>", "cat"], vectors, "GloVe text", 0, []), 0)
    assert base.table_VD.tolist() == [[0, 0], [5, 6], [1, 1], [3, 3]]
    assert base.num_words == 2


@SETTINGS
@given(st.text(max_size=80))
def test_words_stand_where_the_tokenizer_says(text: str) -> None:
    division = Division(is_lower=False)
    words = [text[first:end] for first, end in word_tokenizer(with_control_words([]), division).encode(text).offsets]
    again = word_tokenizer(with_control_words(dict.fromkeys(words)), division).encode(text)
    assert again.tokens == words
    # Words leave out nothing but blanks, and hold none. Python counts four separators as blanks that Unicode does not.
    assert "".join(words) == "".join(letter for letter in text if not letter.isspace() or letter in "\x1c\x1d\x1e\x1f")
    lowered = word_tokenizer(with_control_words([]), Division()).encode(text)
    assert all(0 <= first < end <= len(text) for first, end in lowered.offsets)


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        (["don't", "well-known"], "don't well-known 3.5%", ["don't", "well-known", "3.5", "%"]),
        (["n't", "well-known"], "don't it's ... --", ["do", "n't", "it", "'s", "...", "--"]),
        (["the"], "don't well-known", ["don", "'", "t", "well", "-", "known"]),
    ],
)
def test_texts_are_divided_as_those_were_that_a_table_comes_from(
    words: list[str], text: str, expected: list[str]
) -> None:
    tokenizer = word_tokenizer(with_control_words(words), division_of(words))
    assert [text[first:end] for first, end in tokenizer.encode(text).offsets] == expected


def test_the_tokenizer_s_files_are_the_same_for_the_same_words() -> None:
    words = [f"word{number}" for number in range(500)]
    assert tokenizer_files(words, Division()) == tokenizer_files(list(words), Division())
