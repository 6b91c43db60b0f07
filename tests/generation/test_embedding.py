"""Embedding: unit vectors that depend on their own text alone, whole or cut, from folders that cannot run code."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from fettle.app.workshop.lens import open_lens
from fettle.data.records import LabelledText
from fettle.errors import DamagedFile, FettleError
from fettle.generation.embedding import TextEmbedder
from fettle.models.load import open_model
from fettle.storage.workspace import open_workspace

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "where", "is", "my", "parcel", "lamp", "the", "blue", "card"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT of two layers with random weights and a tokenizer of whole words."""
    folder = tmp_path_factory.mktemp("encoder")
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def opened(folder):
    """The encoder, its tokens pooled alike."""
    return TextEmbedder(open_model(folder, "trunk"), "mean", 40)


TEXTS = ["where is my parcel", "the blue lamp", "card", "", "where is my parcel", "the lamp is my blue card " * 20]


def test_vectors_are_of_length_one_and_of_their_text_alone(encoder, monkeypatch):
    embed = opened(encoder)
    together = embed(TEXTS)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.array_equal(together[0], together[4])
    alone = np.concatenate([embed([text]) for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-6)
    monkeypatch.setattr("fettle.generation.reading._MAX_TOKENS_PER_CALL", 16)
    assert np.allclose(embed(TEXTS), together, atol=1e-6)
    assert np.allclose(embed(TEXTS[::-1]), together[::-1], atol=1e-6)
    assert embed([]).shape == (0, 16)


def test_a_vector_is_the_mean_over_the_tokens_of_its_text(encoder):
    embed = opened(encoder)
    network = BertModel.from_pretrained(encoder, attn_implementation="eager").eval()
    with torch.no_grad():
        hidden = network(input_ids=torch.tensor([[2, 9, 10, 8, 3]])).last_hidden_state[0].mean(0)
    assert np.allclose(embed(["the blue lamp"])[0], (hidden / hidden.norm()).numpy(), atol=1e-5)
    assert embed.num_tokens("the blue lamp") == 5
    assert embed.most_tokens == 40


def test_a_cut_vector_is_a_beginning_made_long_again(encoder):
    embed = opened(encoder)
    whole, cut = embed(TEXTS), replace(embed, size=5)(TEXTS)
    assert cut.shape == (len(TEXTS), 5)
    assert np.allclose(cut, whole[:, :5] / np.linalg.norm(whole[:, :5], axis=1, keepdims=True), atol=1e-6)
    with pytest.raises(FettleError, match="16 numbers"):
        replace(embed, size=17)(TEXTS)


def test_what_stands_before_every_text_is_part_of_it(encoder):
    embed = replace(opened(encoder), before="where ")
    assert np.allclose(embed(["is my parcel"]), opened(encoder)(["where is my parcel"]), atol=1e-6)
    assert embed.num_tokens("is my parcel") == 6


def test_a_lens_of_an_encoder_embeds_and_one_of_a_decoder_counts(encoder, tiny_base, tmp_path):
    workspace = open_workspace(tmp_path / "home")
    lens = open_lens(workspace, str(encoder))
    assert lens.embed is not None
    assert lens.count("classify", [])(LabelledText("the blue lamp", "card")) == 5 + 3
    lens = open_lens(workspace, str(tiny_base))
    rows = []
    assert lens.embed is None
    assert lens.count("reinforce", rows)(LabelledText("the blue lamp", "card")) > 4


def test_folders_that_lack_weights_or_could_run_code_are_refused(encoder, tmp_path):
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for path in encoder.iterdir():
        (lacking / path.name).write_bytes(path.read_bytes())
    config = json.loads((lacking / "config.json").read_text())
    (lacking / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(DamagedFile, match="lacks weights"):
        opened(lacking)
    (lacking / "model.safetensors").rename(lacking / "pytorch_model.bin")
    with pytest.raises(FettleError):
        opened(lacking)
