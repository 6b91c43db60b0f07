"""Hidden words: which are, behind what, and that nothing of a text is lost or given away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder_kit import write_tiny_encoder
from fettle.data.records import LabelledText, PlainText
from fettle.errors import RequestError
from fettle.generation.filling import MOST_WORDS, fill_in
from fettle.models.load import OpenModel, open_model
from fettle.tasks.task import Survey, Terms
from fettle.tasks.text.hiding import Hiding, uncover
from fettle.tasks.text.masked import HiddenWords, hiding_of
from fettle.tasks.text.task import TASK
from fettle.tokens.config import MaskingSettings, PromptSettings
from fettle.tokens.example import Example, TokenReads
from fettle.training.stream import ReplayedRows, ShuffledRows, VariedRows

SETTINGS = settings(deadline=None, max_examples=60)
MASK, VOCABULARY = 4, 50
IS_WORD = np.arange(VOCABULARY) > MASK
WORDS = ["the", "parcel", "is", "on", "its", "way", "and", "tea", "wants", "fresh", "water", "kettle", "boils"]


def text_of(ids: list[int]) -> Example:
    return Example(np.asarray(ids, np.int64), TokenReads.of([], [], []), "f:1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OpenModel:
    return open_model(write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny", WORDS), "masked")


def terms_of(model: OpenModel, max_length: int = 64, **prompt: object) -> Terms:
    made = Terms(model.tokenizer, Survey(), model.attention, max_length)
    return replace(made, prompt=PromptSettings.model_validate(prompt))


@SETTINGS
@given(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=60), st.floats(0.01, 1.0), st.integers(0, 2**32 - 1)
)
def test_what_is_hidden_are_words_as_many_as_asked_and_what_they_were_is_expected(
    ids: list[int], share: float, seed: int
) -> None:
    example = text_of(ids)
    found = Hiding(share, MASK, IS_WORD).hide(example, np.random.default_rng(seed))
    num_words = int(IS_WORD[example.ids].sum())
    assert len(found.reads) == min(num_words, max(1, round(share * num_words)))
    assert IS_WORD[example.ids[found.reads.at]].all()
    assert len(set(found.reads.at.tolist())) == len(found.reads)
    assert found.reads.token.tolist() == example.ids[found.reads.at].tolist()
    assert (found.reads.weight == 1).all()
    elsewhere = np.setdiff1d(np.arange(len(ids)), found.reads.at)
    assert (found.ids[elsewhere] == example.ids[elsewhere]).all()
    assert set(found.ids[found.reads.at].tolist()) <= {MASK, *np.flatnonzero(IS_WORD).tolist()}
    assert uncover(found).tolist() == ids
    assert found.source == example.source


def test_eight_in_ten_are_masked_one_is_another_word_one_stays() -> None:
    hiding, draw = Hiding(0.15, MASK, IS_WORD), np.random.default_rng(0)
    ids = list(range(5, VOCABULARY)) * 4
    kinds: Counter[str] = Counter()
    hidden_at: Counter[int] = Counter()
    for _ in range(400):
        found = hiding.hide(text_of(ids), draw)
        hidden_at.update(found.reads.at.tolist())
        for at, token in zip(found.reads.at, found.reads.token, strict=True):
            kinds["masked" if found.ids[at] == MASK else "same" if found.ids[at] == token else "other"] += 1
    total = sum(kinds.values())
    same_by_chance = 0.1 / len(np.flatnonzero(IS_WORD))
    shares = {"masked": 0.8, "other": 0.1 - same_by_chance, "same": 0.1 + same_by_chance}
    for kind, share in shares.items():  # five standard errors
        assert abs(kinds[kind] / total - share) < 5 * np.sqrt(share * (1 - share) / total)
    assert len(hidden_at) == len(ids)  # every place is as likely to be hidden as another
    assert max(abs(count - 60) for count in hidden_at.values()) < 5 * np.sqrt(400 * 0.15 * 0.85)


@SETTINGS
@given(st.lists(st.integers(5, VOCABULARY - 1), min_size=1, max_size=40), st.integers(0, 99))
def test_where_it_is_only_looked_at_a_text_is_hidden_once(ids: list[int], seed: int) -> None:
    hiding = Hiding(0.3, MASK, IS_WORD)
    once = hiding.hide_once(text_of(ids))
    varied = hiding.hide(once, np.random.default_rng(seed))
    for again in (hiding.hide_once(text_of(ids)), hiding.hide_once(varied)):
        assert again.ids.tolist() == once.ids.tolist()
        assert again.reads.at.tolist() == once.reads.at.tolist()
    assert uncover(varied).tolist() == ids


def test_a_stream_hides_others_in_every_step_and_the_same_in_the_same_step() -> None:
    hiding = Hiding(0.15, MASK, IS_WORD)
    draw = np.random.default_rng(1)
    rows = [[hiding.hide_once(text_of(draw.integers(5, VOCABULARY, 30).tolist()))] for _ in range(4)]

    def stream(seed: int) -> VariedRows:
        return VariedRows(ShuffledRows(rows, 4, 0), hiding.hide, seed)

    def seen(seed: int, step: int) -> list[list[int]]:
        return [row.ids.tolist() for row in stream(seed).rows(step)]

    assert stream(0).steps_per_epoch == 1
    assert seen(0, 3) == seen(0, 3)
    at = {step: {tuple(uncover(row)): tuple(row.reads.at) for row in stream(0).rows(step)} for step in range(6)}
    assert all(at[step].keys() == at[0].keys() for step in at), "the texts are the same in every epoch"
    assert all(len({at[step][text] for step in at}) > 3 for text in at[0])
    assert seen(0, 3) != seen(1, 3)
    same = [[rows[0][0]], [rows[0][0]]]  # one text twice in a step: each is hidden by itself
    first, second = VariedRows(ShuffledRows(same, 2, 0), hiding.hide, 0).rows(0)
    assert first.ids.tolist() != second.ids.tolist()


@SETTINGS
@given(st.lists(st.sampled_from([*WORDS, "unknown", "[MASK]"]), max_size=40), st.integers(3, 12))
def test_a_long_text_is_split_and_nothing_of_it_is_lost(model: OpenModel, words: list[str], max_length: int) -> None:
    tokenizer = model.tokenizer
    text = " ".join(words)
    whole = tokenizer.encode_plain(text)
    is_word = hiding_of(terms_of(model)).is_word_V
    found = HiddenWords(terms_of(model, max_length, too_long="split")).examples(PlainText(text), "f:1")
    sections = [whole[start : start + max_length - 2] for start in range(0, len(whole), max_length - 2)]
    wanted = [section for section in sections if is_word[section].any()]
    cls, sep = tokenizer.surroundings
    assert [uncover(one).tolist() for one in found] == [[*cls, *section, *sep] for section in wanted]
    assert all(one.num_tokens <= max_length and not one.num_cut_tokens for one in found)
    assert all(not np.isin(one.reads.token, [0, 1, 2, 3, 4]).any() for one in found)


def test_a_long_text_is_cut_and_what_is_cut_is_counted(model: OpenModel) -> None:
    [found] = HiddenWords(terms_of(model, 8)).examples(PlainText(" ".join(WORDS)), "f:1")
    assert (found.num_tokens, found.num_cut_tokens) == (8, len(WORDS) - 6)
    assert uncover(found)[1:-1].tolist() == model.tokenizer.encode_plain(" ".join(WORDS[:6]))
    assert HiddenWords(terms_of(model)).examples(PlainText(""), "f:1") == []
    assert HiddenWords(terms_of(model)).examples(PlainText("unheard-of"), "f:1") == []
    with pytest.raises(RequestError, match="2 tokens hold no word"):
        HiddenWords(terms_of(model, 2))
    with pytest.raises(TypeError):
        HiddenWords(terms_of(model)).examples(LabelledText("a", "b"), "f:1")


def test_the_share_is_the_settings(model: OpenModel) -> None:
    text = PlainText(" ".join(WORDS * 4))
    for share in (0.1, 0.5, 1.0):
        terms = replace(terms_of(model), masking=MaskingSettings(share=share))
        [found] = HiddenWords(terms).examples(text, "f:1")
        assert len(found.reads) == round(share * len(WORDS) * 4)


def test_the_method_is_what_a_base_was_trained_by() -> None:
    assert TASK.choose("auto", True, []) == "causal"
    assert TASK.choose("auto", False, []) == "masked"
    assert TASK.choose("causal", False, []) == "causal"
    assert TASK.method("").name == "causal", "bundles of before there were methods"


def test_a_base_that_hides_nothing_is_refused(tiny_base: Path) -> None:
    with pytest.raises(RequestError, match="no token that hides"):
        HiddenWords(terms_of(open_model(tiny_base)))


def test_words_are_filled_in_as_the_model_says_of_each_text_alone(model: OpenModel) -> None:
    texts = ["tea wants [MASK] water", "[MASK] parcel is on [MASK] way", "the kettle [MASK]"]
    told: list[int] = []
    found = fill_in(model, texts, progress=told.append)
    assert sum(told) == len(texts)
    model.network.set_attn_implementation("eager")
    for text, places in zip(texts, found, strict=True):
        ids = torch.tensor([model.tokenizer.inner(text)["input_ids"]])
        with torch.no_grad():
            shares = model.network.eval()(input_ids=ids).logits[0].softmax(-1)[ids[0] == MASK]
        assert len(places) == len(shares) == text.count("[MASK]")
        for words, share_V in zip(places, shares, strict=True):
            best = share_V.argsort(descending=True)[:MOST_WORDS].tolist()
            assert list(words) == [model.tokenizer.inner.convert_ids_to_tokens(token) for token in best]
            assert list(words.values()) == pytest.approx(share_V[best].tolist(), rel=1e-5)


def test_a_text_without_a_hidden_word_and_one_too_long_are_wrong_requests(model: OpenModel) -> None:
    with pytest.raises(RequestError) as caught:
        fill_in(model, ["tea wants water"])
    assert "[MASK]" in caught.value.expected
    with pytest.raises(RequestError, match="at most 64"):
        fill_in(model, ["tea " * 70 + "[MASK]"])


@SETTINGS
@given(st.floats(0.05, 0.9), st.integers(1, 12), st.integers(1, 30))
def test_replayed_rows_are_their_share_and_the_own_rows_stay_as_they_were(
    share: float, rows_per_step: int, num_others: int
) -> None:
    own = [[replace(text_of([5]), source=f"own:{number}")] for number in range(25)]
    others = [[replace(text_of([6]), source=f"other:{number}")] for number in range(num_others)]
    plain = ShuffledRows(own, rows_per_step, 3)
    stream = ReplayedRows(plain, others, share, 3)
    assert stream.steps_per_epoch == plain.steps_per_epoch
    num_own = num_replayed = 0
    for step in range(60):
        wanted, found = plain.rows(step), stream.rows(step)
        assert [row.source for row in found[: len(wanted)]] == [row.source for row in wanted]
        replayed = [row.source for row in found[len(wanted) :]]
        assert replayed == [row.source for row in stream.rows(step)[len(wanted) :]]
        assert all(source.startswith("other") for source in replayed)
        expected = len(wanted) * share / (1 - share)
        assert int(expected) <= len(replayed) <= int(expected) + 1
        if len(replayed) <= num_others:
            assert len(set(replayed)) == len(replayed), "no row twice in a step, where there are enough"
        num_own, num_replayed = num_own + len(wanted), num_replayed + len(replayed)
    assert abs(num_replayed - num_own * share / (1 - share)) < 5 * np.sqrt(60) / 2
