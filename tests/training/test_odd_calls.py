"""Calls that are out of the ordinary: of which nothing is read, and of models that see whole rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_kit import FixedRows, Memory, flat, make_job, open_tiny, random_rows
from transformers import AutoModelForCausalLM, BertConfig

from fettle.errors import NonFiniteLoss
from fettle.generation.scoring import read_tokens
from fettle.models.load import OpenModel
from fettle.tokens.batch import batch_examples
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.layout import Layout, layout_for
from fettle.training.loop import train
from fettle.training.objective import NextToken

ROWS = flat(random_rows(2, seed=11))
# Rows that were cut before their answer, or texts of one token, have no reads.
SILENT = Example(np.arange(20, 25), TokenReads.of([], [], []), "rows:silent")


@pytest.mark.parametrize("layout", ["tree", "packed", "padded"])
def test_a_step_of_which_nothing_is_read_is_taken_all_the_same(tiny_base: Path, tmp_path: Path, layout: Layout) -> None:
    memory = Memory()
    stream = FixedRows([[SILENT, SILENT], [SILENT, *ROWS]])
    train(make_job(open_tiny(tiny_base), tmp_path, stream=stream, layout=layout, num_steps=2, watchers=[memory]))
    assert [step.learned_tokens for step in memory.steps] == [0, sum(row.num_learned for row in ROWS)]


@pytest.mark.parametrize("layout", ["tree", "packed", "padded"])
def test_a_bad_row_is_named_among_rows_of_which_nothing_is_read(
    tiny_base: Path, tmp_path: Path, layout: Layout
) -> None:
    reads = ROWS[0].reads
    bad = replace(ROWS[0], reads=replace(reads, weight=reads.weight * np.float32("nan")))
    job = make_job(open_tiny(tiny_base), tmp_path, stream=FixedRows([[SILENT, ROWS[1], bad]]), layout=layout)
    with pytest.raises(NonFiniteLoss) as caught:
        train(job)
    assert caught.value.where == bad.source


def test_rows_of_which_nothing_is_read_are_looked_at_all_the_same(tiny_base: Path) -> None:
    model = open_tiny(tiny_base)
    [wanted] = read_tokens(model, ROWS[:1])
    alone, first, second = (*read_tokens(model, [SILENT]), *read_tokens(model, [SILENT, ROWS[0]]))
    assert len(alone.log_probabilities) == len(first.log_probabilities) == 0
    assert np.array_equal(second.log_probabilities, wanted.log_probabilities)


def test_a_model_that_sees_whole_rows_does_so_in_every_layout_that_it_allows(tiny_base: Path) -> None:
    """An encoder that is opened for its next token still sees all of a row; padded, it runs as it was written."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = BertConfig(vocab_size=382, initializer_range=0.3, **sizes)
    torch.manual_seed(0)
    model = OpenModel(AutoModelForCausalLM.from_config(config).eval(), open_tiny(tiny_base).tokenizer)
    layout, _ = layout_for(model.attention)
    with torch.no_grad():
        found, wanted = (NextToken(each).sums(model, batch_examples(ROWS))["next_token"] for each in (layout, "padded"))
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)
