"""A base made from texts: no text is lost in its tokenizer, and the same texts give the same bytes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fettle.models.config import ShapeSettings
from fettle.models.folders.base import BUNDLED_FOLDER
from fettle.models.fresh.base import base_key, make_fresh_base
from fettle.models.fresh.vocabulary import CONTROL_TOKENS, learn_vocabulary
from fettle.models.load import open_model
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer

TEXTS = [
    "where is my parcel and when will it arrive, in 2024 or in 2025?",
    "the card was charged twice for one order; the order came twice\n\n  and the parcel too",
    "Ünïcödé 你好 🙂 <|im_start|>",
] * 3
TINY = ShapeSettings(vocabulary=300, width=32, layers=2, heads=2, context=64)

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Writes a base of the tiny shape, or of one that differs from it."""

    def write(texts: list[str] = TEXTS, **sizes: int) -> Path:
        folder = tmp_path_factory.mktemp("fresh")
        for name, data in make_fresh_base(texts, TINY.model_copy(update=sizes)).files.items():
            (folder / name).write_bytes(data)
        return folder

    return write


@pytest.fixture(scope="module")
def tokenizer(make: Make) -> ModelTokenizer:
    return open_tokenizer(make())


def without_byte_tokens(folder: Path) -> ModelTokenizer:
    """A tokenizer of the other kind: words behind a mark for the blank, and bytes spelt out where no token fits."""
    inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    spelt = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>", "</s>"], show_progress=False)
    inner.train_from_iterator(TEXTS[:2], trainer)
    document = json.loads(inner.to_str())
    vocabulary = document["model"]["vocab"]
    vocabulary.update({text: len(vocabulary) + place for place, text in enumerate(spelt)})
    whole = Tokenizer.from_str(json.dumps(document))
    PreTrainedTokenizerFast(tokenizer_object=whole, eos_token="</s>", unk_token="<unk>").save_pretrained(folder)
    return open_tokenizer(folder)


texts = st.lists(
    st.one_of(st.text(st.characters(codec="utf-8"), max_size=8), st.sampled_from([*CONTROL_TOKENS, "  ", "\r\n", "12"]))
).map("".join)


@settings(deadline=None, max_examples=150)
@given(texts)
@example("".join(map(chr, range(0x300))))
@example(" a  b\t\n\n\x00 ﬁ 𝔸 é é  ")
def test_any_text_comes_back_unchanged_and_holds_no_control_token(tokenizer: ModelTokenizer, text: str) -> None:
    ids = tokenizer.encode_plain(text)
    assert tokenizer.decode(ids) == text
    assert min(ids, default=len(CONTROL_TOKENS)) >= len(CONTROL_TOKENS)
    assert int(tokenizer.bytes_of_tokens[ids].sum()) == len(text.encode())


@settings(deadline=None, max_examples=60)
@given(texts)
def test_the_bytes_of_tokens_are_those_of_the_text_for_every_kind_of_tokenizer(
    tiny_base: Path, tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    if "others" not in _opened:
        _opened["others"] = without_byte_tokens(tmp_path_factory.mktemp("other"))
        _opened["tiny"] = open_tokenizer(tiny_base)
    text = text.replace("▁", "")  # which the other kind takes for a blank
    for tokenizer in _opened.values():
        ids = tokenizer.encode_plain(text)
        assert int(tokenizer.bytes_of_tokens[ids].sum()) == len(text.encode())
    assert all(tokenizer.bytes_of_tokens[tokenizer.end_id] == 0 for tokenizer in _opened.values())


_opened: dict[str, ModelTokenizer] = {}


def test_every_byte_is_a_token_and_digits_stand_alone(tokenizer: ModelTokenizer) -> None:
    alone = tokenizer.inner.convert_ids_to_tokens(list(range(len(CONTROL_TOKENS), len(CONTROL_TOKENS) + 256)))
    assert sorted(alone) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert tokenizer.inner.convert_ids_to_tokens(tokenizer.encode_plain("2025"))[:4] == ["2", "0", "2", "5"]


def test_the_same_texts_give_the_same_bytes_in_any_process_with_any_number_of_threads() -> None:
    program = (
        "import sys; from fettle.models.fresh.vocabulary import learn_vocabulary\n"
        "words = [''.join(chr(97 + (n * k * k + n // 7) % 26) for k in range(1, 2 + n % 9)) for n in range(4000)]\n"
        "texts = [' '.join(words[n:n + 50]) for n in range(0, 4000, 50)]\n"
        "sys.stdout.write(learn_vocabulary(texts, 900).to_str())"
    )
    written = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for threads in ("1", "4")
    ]
    assert written[0] == written[1]
    assert len(json.loads(written[0])["model"]["vocab"]) == 900, "enough merges for an order to show"


def test_the_same_texts_and_shape_are_the_same_base_and_others_another() -> None:
    assert make_fresh_base(TEXTS, TINY) == make_fresh_base(list(TEXTS), TINY)
    keys = [base_key(TEXTS, TINY), base_key(TEXTS[1:], TINY), base_key(TEXTS, TINY.model_copy(update={"layers": 3}))]
    assert len({*keys, base_key(["ab", "c"], TINY), base_key(["a", "bc"], TINY)}) == 5
    assert base_key(TEXTS, TINY) == keys[0]


def test_a_vocabulary_is_as_large_as_asked_or_as_the_text_allows() -> None:
    assert learn_vocabulary(TEXTS, 280).get_vocab_size() == 280
    assert learn_vocabulary(TEXTS, 260).get_vocab_size() == 260
    assert learn_vocabulary(["a b c"], 5000).get_vocab_size() == 260, "nothing occurs twice"
    small = make_fresh_base(["ab ab"], ShapeSettings(vocabulary=5000))
    assert small.num_tokens == json.loads(small.files["config.json"])["vocab_size"] == 261


@pytest.mark.parametrize(
    "sizes", [{}, {"heads": 4, "key_heads": 2, "feed_forward": 40}, {"layers": 1, "vocabulary": 260}]
)
def test_the_model_has_the_sizes_asked_for_and_knows_nothing(make: Make, sizes: dict[str, int]) -> None:
    from fettle.models.fresh.shape import num_weights

    model = open_model(make(**sizes), random_seed=1)
    shape = TINY.model_copy(update=sizes)
    config = model.network.config
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (32, shape.layers, shape.vocabulary)
    assert config.num_key_value_heads == (shape.key_heads or shape.heads)
    assert sum(weight.numel() for weight in model.network.parameters()) == num_weights(config)
    assert (model.attention, model.context_length) == ("causal", 64)
    assert model.tokenizer.vocabulary_size == shape.vocabulary
    ids = torch.randint(4, shape.vocabulary, (1, 60), generator=torch.Generator().manual_seed(0))
    loss = float(model.network(input_ids=ids, labels=ids).loss.detach())
    assert loss == pytest.approx(math.log(shape.vocabulary), abs=0.1)


def test_it_can_be_tuned_as_a_chat_later(tokenizer: ModelTokenizer) -> None:
    bundled = open_tokenizer(BUNDLED_FOLDER / "base-v0")
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert tokenizer.has_own_template
    for opening in (True, False):
        assert tokenizer.render(talk, opening) == bundled.render(talk, opening)
    assert tokenizer.stop_ids == {0, 3}
    assert (tokenizer.end_id, tokenizer.pad_id) == (0, 1)
    assert set(tokenizer.control_texts) == set(CONTROL_TOKENS)


@pytest.mark.parametrize(
    ("sizes", "where", "attempt"),
    [
        ({"width": 250, "heads": 4}, "shape.width", "shape.width=256"),
        ({"width": 20, "heads": 4}, "shape.width", "shape.width=24"),
        ({"heads": 4, "key_heads": 3}, "shape.key_heads", "shape.key_heads=2"),
        ({"heads": 4, "key_heads": 8}, "shape.key_heads", "shape.key_heads=4"),
    ],
)
def test_sizes_that_make_no_model_are_faults_that_say_what_would(sizes: dict, where: str, attempt: str) -> None:
    [fault] = ShapeSettings(**sizes).faults()
    assert (fault.file, fault.attempt) == (where, attempt)
    assert fault.problem and fault.expected
    key, _, value = attempt.partition("=")
    assert not ShapeSettings(**{**sizes, key.removeprefix("shape."): int(value)}).faults()


def test_sound_sizes_have_no_fault() -> None:
    assert not ShapeSettings().faults()
    assert not ShapeSettings(width=48, heads=6, key_heads=2, feed_forward=7).faults()
