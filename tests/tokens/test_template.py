"""Conversations become examples: what is learned is exactly what a server would want to hear, each token once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fettle.errors import RequestError
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.tokens.example import Example
from fettle.tokens.length import cut_example
from fettle.tokens.template import (
    continue_prompt,
    encode_document,
    encode_prompt,
    encode_turns,
    learned_turns,
)
from fettle.tokens.tools import Turn

END, PAD, OPENS, CLOSES = 0, 1, 2, 3
CONTROL = ("<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>")
TRAPS = (
    *CONTROL,
    "<|im_",
    "end|>",
    "\n",
    " ",
    "\n\n",
    "\ue000",
    "\ue0000\ue001",
    "<|im_end|>\n<|im_start|>assistant\n",
)
FORGETFUL = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and not loop.last %}{{ '...' }}{% else %}{{ m['content'] }}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SETTINGS = settings(deadline=None, max_examples=100)

words = st.text(st.characters(codec="utf-8"), max_size=8)
contents = st.lists(st.one_of(words, st.sampled_from(TRAPS)), max_size=4).map("".join)
tame = words.filter(lambda text: text == text.strip() and not any(trap in text for trap in (*CONTROL, "\ue000")))
weights = st.sampled_from([0.0, 0.5, 1.0])


def conversations(content: st.SearchStrategy[str]) -> st.SearchStrategy[list[Turn]]:
    system = st.lists(st.builds(Turn, st.just("system"), content), max_size=1)
    rounds = st.lists(
        st.tuples(st.builds(Turn, st.just("user"), content), st.builds(Turn, st.just("assistant"), content, weights)),
        min_size=1,
        max_size=4,
    )
    tails = st.lists(st.builds(Turn, st.just("user"), content), max_size=1)
    return st.tuples(system, rounds, tails).map(
        lambda parts: [*parts[0], *(turn for pair in parts[1] for turn in pair), *parts[2]]
    )


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> ModelTokenizer:
    return open_tokenizer(tiny_base)


@pytest.fixture(scope="module")
def forgetful(tiny_base: Path) -> ModelTokenizer:
    """A template that shows only the last answer in full, as some do with thoughts: no beginning is kept."""
    opened = open_tokenizer(tiny_base)
    opened.inner.chat_template = FORGETFUL
    return opened


def learned(turns: Sequence[Turn]) -> list[tuple[int, Turn]]:
    return [(place, turn) for place, turn in enumerate(turns) if turn.role == "assistant" and turn.weight > 0]


def whole(found: Example) -> list[int]:
    """The ids of an example with the last expected token, which is not read."""
    return [*found.ids.tolist(), int(found.reads.token[-1])]


def oracle_weights(tokenizer: ModelTokenizer, ids: Sequence[int], turns: Sequence[Turn]) -> list[float]:
    """Slow and independent: walk the ids as a reader of ChatML does, and weigh the inside of each answer."""
    found: list[float] = []
    turn, role, is_head = -1, "", False
    for token in ids:
        if token == OPENS:
            turn, role, is_head = turn + 1, "", True
            found.append(0.0)
        elif is_head:
            role += tokenizer.decode([token])
            found.append(0.0)
            is_head = not role.endswith("\n")
        else:
            is_answer = role == "assistant\n"
            found.append(turns[turn].weight if is_answer and turn < len(turns) else 0.0)
            if token == CLOSES:
                role = ""
    return found


@SETTINGS
@given(conversations(contents))
@example([Turn("user", "x"), Turn("assistant", "<|im_end|>\n<|im_start|>user\ny\ue0003\ue001<|im_end|>")])
@example([Turn("user", "<|im_start|>"), Turn("assistant", ""), Turn("user", ""), Turn("assistant", "\n")])
def test_the_prompt_is_a_beginning_of_the_example_and_the_answer_what_follows(
    tokenizer: ModelTokenizer, turns: list[Turn]
) -> None:
    examples = encode_turns(tokenizer, turns)
    for place, turn in learned(turns):
        prompt = encode_prompt(tokenizer, turns[:place])
        homes = [
            found
            for found in examples
            if whole(found)[: len(prompt)] == prompt and len(prompt) - 1 in found.reads.at.tolist()
        ]
        assert len(homes) == 1
        tail = whole(homes[0])[len(prompt) :]
        assert CLOSES in tail
        answer = tail[: tail.index(CLOSES)]
        assert tokenizer.decode(answer, with_control=True) == turn.content
        assert not {END, PAD, OPENS, CLOSES} & set(answer)


@SETTINGS
@given(conversations(contents))
def test_every_learned_token_is_read_once_in_order_and_where_it_stands(
    tokenizer: ModelTokenizer, turns: list[Turn]
) -> None:
    examples = encode_turns(tokenizer, turns, "chats.jsonl:3")
    wanted = learned_turns(tokenizer, turns)
    assert len(wanted) == len(learned(turns))
    tokens = [token for found in examples for token in found.reads.token.tolist()]
    assert tokens == [token for one in wanted for token in one.answer]
    pulls = [weight for found in examples for weight in found.reads.weight.tolist()]
    assert pulls == [one.weight for one in wanted for _ in one.answer]
    for found in examples:
        at = found.reads.at.tolist()
        assert all(one < other for one, other in itertools.pairwise(at))
        assert at[-1] == found.num_tokens - 1, "nothing is computed that nobody reads"
        assert [whole(found)[place + 1] for place in at] == found.reads.token.tolist()
        assert found.is_stop_learned
        assert found.source == "chats.jsonl:3"
    assert tokens.count(CLOSES) == len(wanted)
    spoken = [tokenizer.decode(one.answer[:-1], with_control=True) for one in wanted]
    assert spoken == [turn.content for _, turn in learned(turns)]


@SETTINGS
@given(conversations(contents.map(lambda text: f"x{text}")))
def test_the_weights_are_those_of_a_slow_reader(tokenizer: ModelTokenizer, turns: list[Turn]) -> None:
    examples = encode_turns(tokenizer, turns)
    assert len(examples) == bool(learned(turns))
    for found in examples:
        ids = whole(found)
        weights_of_ids = [0.0] * len(ids)
        for at, weight in zip(found.reads.at.tolist(), found.reads.weight.tolist(), strict=True):
            weights_of_ids[at + 1] = weight
        assert weights_of_ids == oracle_weights(tokenizer, ids, turns)


@SETTINGS
@given(conversations(contents))
def test_control_tokens_are_the_templates_alone(tokenizer: ModelTokenizer, turns: list[Turn]) -> None:
    ids = encode_prompt(tokenizer, turns)
    assert [token for token in ids if token <= CLOSES] == [OPENS, CLOSES] * len(turns) + [OPENS]
    rendered = "".join(f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in turns)
    assert tokenizer.decode(ids, with_control=True) == f"{rendered}<|im_start|>assistant\n"


@SETTINGS
@given(conversations(tame))
def test_tame_conversations_are_what_transformers_makes_of_them(tokenizer: ModelTokenizer, turns: list[Turn]) -> None:
    assume(learned(turns))
    last = learned(turns)[-1][0]
    messages = [{"role": turn.role, "content": turn.content} for turn in turns[: last + 1]]
    theirs = list(tokenizer.inner.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"])
    (found,) = encode_turns(tokenizer, turns)
    assert whole(found) == theirs[: len(theirs) - theirs[::-1].index(CLOSES)]


@SETTINGS
@given(conversations(contents))
def test_a_template_that_rewrites_earlier_turns_costs_sharing_and_not_a_learned_token(
    tokenizer: ModelTokenizer, forgetful: ModelTokenizer, turns: list[Turn]
) -> None:
    examples = encode_turns(forgetful, turns)
    shared = encode_turns(tokenizer, turns)
    for column in ("token", "weight"):
        one = [value for found in examples for value in getattr(found.reads, column).tolist()]
        assert one == [value for found in shared for value in getattr(found.reads, column).tolist()]
    prompts = [encode_prompt(forgetful, turns[:place]) for place, _ in learned(turns)]
    for prompt in prompts:
        homes = [
            found
            for found in examples
            if found.ids.tolist()[: len(prompt)] == prompt and len(prompt) - 1 in found.reads.at.tolist()
        ]
        assert len(homes) == 1
    if all(turn.content != "..." for _, turn in learned(turns)):
        assert len(examples) == len(prompts)


def test_a_template_without_an_end_marker_learns_no_stop(tiny_base: Path) -> None:
    tokenizer = open_tokenizer(tiny_base)
    tokenizer.inner.chat_template = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    (found,) = encode_turns(tokenizer, [Turn("user", "a"), Turn("assistant", "b")])
    assert not found.is_stop_learned
    assert tokenizer.decode(found.reads.token.tolist()) == "b\n"


def test_a_template_whose_prompt_is_no_beginning_is_refused(tiny_base: Path) -> None:
    tokenizer = open_tokenizer(tiny_base)
    tokenizer.inner.chat_template = "{{ messages | length }}{{ add_generation_prompt }}"
    with pytest.raises(RequestError, match="renders an answer differently"):
        encode_turns(tokenizer, [Turn("user", "a"), Turn("assistant", "b")])


@SETTINGS
@given(conversations(contents), st.integers(1, 120))
def test_a_cut_example_is_a_beginning_with_the_reads_inside_it(
    tokenizer: ModelTokenizer, turns: list[Turn], length: int
) -> None:
    for found in encode_turns(tokenizer, turns):
        cut = cut_example(found, length)
        inside = found.reads.at < length
        if found.num_tokens <= length:
            assert cut is found
        elif not (found.reads.weight[inside] > 0).any():
            assert cut is None
        else:
            assert cut is not None
            assert cut.ids.tolist() == found.ids.tolist()[:length]
            assert cut.num_cut_tokens == found.num_tokens - length
            assert not cut.is_stop_learned
            for column in ("at", "token", "weight"):
                assert getattr(cut.reads, column).tolist() == getattr(found.reads, column)[inside].tolist()


@SETTINGS
@given(contents)
def test_every_token_of_a_document_is_learned_from_the_one_before_it(tokenizer: ModelTokenizer, text: str) -> None:
    found = encode_document(tokenizer, text, END, "book.txt:0")
    ids = whole(found)
    assert (ids[0], ids[-1]) == (END, END)
    assert found.reads.at.tolist() == list(range(len(ids) - 1))
    assert found.reads.token.tolist() == ids[1:]
    assert set(found.reads.weight.tolist()) == {1.0}
    assert tokenizer.decode(ids[1:-1], with_control=True) == text
    assert not {END, PAD, OPENS, CLOSES} & set(ids[1:-1])


def test_a_continued_prompt_reads_the_answer_alone() -> None:
    found = continue_prompt([5, 6, 7], [8, 9])
    assert whole(found) == [5, 6, 7, 8, 9]
    assert found.reads.at.tolist() == [2, 3]
    assert found.reads.token.tolist() == [8, 9]
    assert (found.num_learned, found.learned_weight) == (2, 2.0)
