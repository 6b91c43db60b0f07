"""Personal data: planted values are found, clean text stays clean, redaction takes out what was found and no more."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_kit import FRAMES, NATIONAL, Plant, plants

from fettle.quality.found import Found, settled
from fettle.quality.sensitive.personal import PERSONAL_KINDS, SECRET, find_personal, redact, redact_all
from fettle.quality.sensitive.standins import Standins

ALL_KINDS = (*PERSONAL_KINDS, SECRET)
PLANTS = plants(seed=20240607, num_each=25)
BY_SORT: dict[str, list[Plant]] = defaultdict(list)
for plant in PLANTS:
    BY_SORT[plant.sort].append(plant)


def is_found(plant: Plant) -> bool:
    # An abbreviation's full stop may be the sentence's.
    end = plant.end - (plant.text[plant.end - 1] == ".")
    return any(
        one.kind == plant.kind and one.start <= plant.start and end <= one.end for one in find_personal(plant.text)
    )


@pytest.mark.parametrize("sort", BY_SORT)
def test_planted_values_are_found(sort):
    missed = [plant.text for plant in BY_SORT[sort] if not is_found(plant)]
    assert len(missed) <= 0.05 * len(BY_SORT[sort]), missed[:5]


@pytest.mark.parametrize("sort", [*FRAMES, *NATIONAL])
def test_little_beyond_a_planted_value_is_taken(sort):
    """A finding does not swallow the sentence around the value."""
    for plant in BY_SORT[sort]:
        for one in find_personal(plant.text):
            assert one.start >= plant.start - 1 and one.end <= plant.end + 1, plant.text[one.start : one.end]


@pytest.mark.parametrize(
    "text",
    [
        "update to version 1.2.3.4 or 10.2.13.4",
        "ISBN 978-3-16-148410-0 and ISBN 0-306-40615-2",
        "order 4567 8901234 arrived at 10:30:45 on 12.03.2021",
        "order number 555-123-4567",
        "tracking number 9400110200881234567890",
        "it costs $1,234,567.89 or 1.234.567,89 EUR",
        "48/2=24 and 2400 / 200 = 12",
        "pi is 3.14159265358979, e is 2.718281828459045",
        "from 1914-1918 and 1939-1945",
        "scores of 10-12-14-16 and 3-2-1",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "550e8400-e29b-41d4-a716-446655440000 is the row's id",
        "2 square feet more paint than Mary, 3 place settings, Spring 2012 and Room 101",
        "in 1969 Abbey Road was recorded on 16 tracks",
        "std::vector and a::b, 12:30:45, ratio 3:2:1",
        "the password is incorrect and my token expired",
        "password: your_password, api_key=${API_KEY}, token = get_token()",
        "picture@2x.png, @handle and 5 @ 3 dollars",
        "which actor was born on April 4, 1965?",
        "4111 1111 1111 1112 is no card, DE89 3704 0044 0532 0130 01 no account",
        "population 1 234 567 890, area 123 456 789",
        "the ticket is case 123456789 and 111222333",
        "call me at 10 or at 12 on 3 May 2024",
        "127.0.0.1 and 255.255.255.0",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text):
    assert not find_personal(text), [text[one.start : one.end] for one in find_personal(text)]


PLAIN_WORDS = st.sampled_from(
    (
        "the",
        "cat",
        "paid",
        "order",
        "for",
        "of",
        "train",
        "number",
        "key",
        "pass",
        "row",
        "is",
        "at",
        "May",
        "Street",
        "St",
    )
)
PLAIN_NUMBERS = st.one_of(
    st.integers(0, 99999).map(str),
    st.decimals(0, 9999, places=2).map(str),
    st.integers(0, 9999).map(lambda price: f"${price:,}"),
    st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda time: f"{time[0]}:{time[1]:02}"),
    st.integers(1, 100).map(lambda share: f"{share}%"),
)


@given(st.lists(st.one_of(PLAIN_WORDS, PLAIN_NUMBERS.map(lambda number: f"{number},")), max_size=30))
def test_plain_words_and_numbers_raise_no_alarm(words):
    found = [one for one in find_personal(" ".join(words)) if one.kind != "address"]
    assert not found


TEXTS = st.lists(
    st.one_of(st.text(max_size=20), st.sampled_from(PLANTS).map(lambda plant: plant.text)), max_size=6
).map(" ".join)
HOWS = st.sampled_from(["mask", "hash", "replace"])


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_findings_are_in_the_text_in_order_and_apart(text):
    found = find_personal(text)
    assert all(
        0 <= one.start < one.end <= len(text) and one.kind in ALL_KINDS and 0.5 < one.confidence <= 1 for one in found
    )
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))


@settings(max_examples=150, deadline=None)
@given(TEXTS, HOWS)
def test_redacting_leaves_all_else_untouched(text, how):
    """All at once is one after the other, and one alone changes nothing before it and nothing after it."""
    found, standins = find_personal(text), Standins()
    at_once = redact(text, found, how, "salt", standins)
    step_by_step = text
    for one in reversed(found):
        step_by_step = redact(step_by_step, [one], how, "salt", standins)
        assert step_by_step.startswith(text[: one.start])
        alone = redact(text, [one], how, "salt", standins)
        assert alone.startswith(text[: one.start]) and alone.endswith(text[one.end :])
    assert step_by_step == at_once


@settings(max_examples=150, deadline=None)
@given(TEXTS, HOWS)
def test_redacting_twice_is_redacting_once(text, how):
    standins = Standins()
    once = redact_all(text, ALL_KINDS, how, "salt", standins)
    assert redact_all(once, ALL_KINDS, how, "salt", standins) == once
    assert redact_all(once, ALL_KINDS, how, "salt", Standins()) == once


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_nothing_is_left_after_masking(text):
    assert not find_personal(redact_all(text, ALL_KINDS))


@pytest.mark.parametrize("plant", [group[0] for group in BY_SORT.values()], ids=lambda plant: plant.sort)
@pytest.mark.parametrize("how", ["mask", "hash", "replace"])
def test_a_redacted_text_no_longer_holds_the_value(plant, how):
    value = plant.text[plant.start : plant.end].rstrip(".")
    assert value not in redact_all(plant.text, ALL_KINDS, how, "salt")


def test_equal_values_stay_equal_and_unequal_ones_unequal():
    text = "jo@x.org, al@x.org, JO@x.org"
    for how in ("hash", "replace"):
        first, second, third = redact(text, find_personal(text), how, "salt").split(", ")
        assert first == third != second


def test_the_salt_decides_the_hash():
    text = "jo@x.org"
    found = find_personal(text)
    assert redact(text, found, "hash", "a") != redact(text, found, "hash", "b")
    assert redact(text, found, "hash", "a") == redact(text, found, "hash", "a")


def test_standins_are_remembered_over_texts():
    standins = Standins()
    made = [
        redact_all(text, ALL_KINDS, "replace", standins=standins) for text in ("jo@x.org", "al@x.org", "ask jo@x.org")
    ]
    assert made == ["user1@example.com", "user2@example.com", "ask user1@example.com"]


@given(
    st.lists(
        st.builds(lambda a, n, c: Found("email", a, a + n, c), st.integers(0, 30), st.integers(0, 9), st.floats(0, 1)),
        max_size=12,
    )
)
def test_settling_keeps_the_longest_and_drops_only_what_overlaps(found):
    kept = settled(found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(kept))
    for one in found:
        if one not in kept and one.start < one.end:
            rivals = [other for other in kept if other.start < one.end and one.start < other.end]
            assert any(other.end - other.start >= one.end - one.start for other in rivals)


def test_digits_of_other_scripts_are_digits():
    text = "call ０２０ ７９４６ ０９５８ or +٤٤ ٢٠ ٧٩٤٦ ٠٩٥٨"
    assert [one.kind for one in find_personal(text)] == ["phone", "phone"]


def test_a_tagger_joins_in_and_its_names_are_redacted():
    text = "Ada Lovelace wrote to jo@x.org"
    found = find_personal(text, tagged=[Found("person", 0, 12, 0.9)])
    assert redact(text, found) == "[PERSON] wrote to [EMAIL]"


@pytest.mark.parametrize("text", ["Passage: A1b2c3d4e5 was sung.", "Secretary: x9y8z7q6w5", "tokenizer = v3x9_k2j1q"])
def test_a_word_that_begins_like_a_password_names_none(text):
    assert not [found for found in find_personal(text) if found.kind == "secret"]
    assert [
        found for found in find_personal(text.replace(text.split()[0].strip(":"), "password")) if found.kind == "secret"
    ]
