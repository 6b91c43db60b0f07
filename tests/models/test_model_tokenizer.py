"""A model's tokenizer: text comes back, control tokens are the template's alone, and the model's stops are known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fettle.errors import RequestError
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.tokens.template import learned_turns
from fettle.tokens.tools import Turn

CONTROL = ("<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> ModelTokenizer:
    return open_tokenizer(tiny_base)


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def change(path: Path, **values: object) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    document.update(values)
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}), encoding="utf-8")


texts = st.lists(st.one_of(st.text(st.characters(codec="utf-8"), max_size=6), st.sampled_from(CONTROL))).map("".join)


@settings(deadline=None, max_examples=100)
@given(texts)
@example(" a  b ,c . ' s\n\n")
def test_decode_undoes_both_encodings(tokenizer: ModelTokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), with_control=True) == text
    assert tokenizer.decode(tokenizer.encode_plain(text)) == text
    control = {0, 1, 2, 3}
    assert not control & set(tokenizer.encode_plain(text))
    assert bool(control & set(tokenizer.encode(text))) == any(word in text for word in CONTROL)


@pytest.mark.parametrize("named", [True, False])
def test_control_texts_are_all_special_tokens_named_in_the_configuration_or_not(base: Path, named: bool) -> None:
    if not named:
        change(base / "tokenizer_config.json", extra_special_tokens=None)
    tokenizer = open_tokenizer(base)
    assert set(tokenizer.control_texts) == set(CONTROL)
    assert list(map(len, tokenizer.control_texts)) == sorted(map(len, tokenizer.control_texts), reverse=True)


def test_stops_are_those_of_the_tokenizer_and_of_the_generation_configuration(base: Path) -> None:
    path = base / "generation_config.json"
    for named, wanted in (([0, 3], {0, 3}), (3, {0, 3}), ([], {0}), (None, {0})):
        change(path, eos_token_id=named)
        assert open_tokenizer(base).stop_ids == wanted
    path.unlink()
    assert open_tokenizer(base).stop_ids == {0}
    change(base / "tokenizer_config.json", eos_token=None)
    without = open_tokenizer(base)  # as encoders are, which never write
    assert not without.stop_ids
    with pytest.raises(RequestError, match="no token to stop at"):
        learned_turns(without, [Turn("user", "a"), Turn("assistant", "b")])


def test_without_a_template_there_is_a_plain_one_that_ends_its_answers(base: Path) -> None:
    (base / "chat_template.jinja").unlink()
    tokenizer = open_tokenizer(base)
    assert not tokenizer.has_own_template
    asked, said = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    prompt = tokenizer.render([asked], True)
    assert prompt == "### user\na\n### assistant\n"
    assert tokenizer.render([asked, said], False) == prompt + "b<|endoftext|>\n"


def test_the_identity_of_a_template_is_its_text(base: Path, tokenizer: ModelTokenizer) -> None:
    path = base / "chat_template.jinja"
    assert open_tokenizer(base).template_sha256 == tokenizer.template_sha256
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert open_tokenizer(base).template_sha256 != tokenizer.template_sha256


def test_a_template_that_refuses_a_conversation_is_a_wrong_request(base: Path) -> None:
    (base / "chat_template.jinja").write_text("{{ raise_exception('no system turns') }}", encoding="utf-8")
    with pytest.raises(RequestError, match="no system turns"):
        open_tokenizer(base).render([{"role": "system", "content": "x"}], False)


def test_saved_is_the_same_tokenizer(tokenizer: ModelTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = open_tokenizer(tmp_path)
    text = "where is it?<|im_end|>é\n"
    assert again.encode(text) == tokenizer.encode(text)
    assert again.template_sha256 == tokenizer.template_sha256
    assert again.control_texts == tokenizer.control_texts
