"""Spans: from offsets or from tags, always the same characters; and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fettle.data.dialects.tagged import SPAN_TAGGED, TOKEN_TAGGED, bio_tags, spans_of_tags
from fettle.data.records import BadRecord, Span, TaggedText

TEXT = "Ada in Rome"
WANTED = TaggedText(TEXT, (Span(0, 3, "NAME"), Span(7, 11, "PLACE")))


@pytest.mark.parametrize(
    "spans",
    [
        [{"start": 7, "end": 11, "label": "PLACE"}, {"start": 0, "end": 3, "label": "NAME", "text": "Ada", "id": 1}],
        [[0, 3, "NAME"], [7, 11, " PLACE "]],
        [{"start": 0, "end": 3, "type": "NAME"}, [7, 11, "PLACE"]],
    ],
)
def test_offsets_are_read_in_order(spans):
    assert SPAN_TAGGED.parse({"text": TEXT, "spans": spans}) == WANTED
    assert SPAN_TAGGED.parse({"text": TEXT, "spans": []}) == TaggedText(TEXT, ())


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ("Ada", "spans is a string"),
        (["Ada"], "span 1 is a string"),
        ([[0, 3]], "span 1 is a list"),
        ([[0, 3.5, "X"]], "span 1 has no start and end in whole numbers"),
        ([[False, 3, "X"]], "span 1 has no start and end in whole numbers"),
        ([{"label": "X"}], "span 1 has no start and end in whole numbers"),
        ([[0, 12, "X"]], "span 1 goes from 0 to 12 in a text of 11 characters"),
        ([[3, 3, "X"]], "span 1 goes from 3 to 3"),
        ([[-1, 3, "X"]], "span 1 goes from -1 to 3"),
        ([[0, 3, ""]], "span 1 has no label"),
        ([[0, 3, 5]], "span 1 has no label"),
        ([{"start": 1, "end": 4, "label": "X", "text": "Ada"}], "span 1 says 'Ada' where the text has 'da '"),
        ([[0, 6, "X"], [4, 11, "Y"]], "the spans 'Ada in' (0 to 6) and 'in Rome' (4 to 11) overlap"),
        ([[0, 3, "X"], [0, 3, "Y"]], "the spans 'Ada' (0 to 3) and 'Ada' (0 to 3) overlap"),
    ],
)
def test_spans_that_are_no_part_of_the_text_are_refused(spans, problem):
    with pytest.raises(BadRecord) as caught:
        SPAN_TAGGED.parse({"text": TEXT, "spans": spans})
    assert caught.value.problem.startswith(problem)
    assert caught.value.expected


TOKENS = ["Ada", "Byron", "Eve", "saw", "Rome"]


@pytest.mark.parametrize(
    "tags",
    [
        ["B-N", "I-N", "B-N", "O", "B-P"],
        ["B-N", "L-N", "U-N", "O", "U-P"],
        ["B-N", "E-N", "S-N", "O", "S-P"],
        ["I-N", "I-N", "B-N", "O", "I-P"],
        ["B-N", "E-N", "B-N", "O", "P"],
    ],
)
def test_every_scheme_says_the_same_spans(tags):
    record = TOKEN_TAGGED.parse({"tokens": TOKENS, "tags": tags})
    assert record.text == "Ada Byron Eve saw Rome"
    assert record.spans == (Span(0, 9, "N"), Span(10, 13, "N"), Span(18, 22, "P"))


def test_bare_names_join_while_they_last():
    assert spans_of_tags(TOKENS, ["N", "N", "N", "O", "P"]) == [Span(0, 13, "N"), Span(18, 22, "P")]
    assert spans_of_tags(TOKENS, ["N", "P", "P", "O", "O"]) == [Span(0, 3, "N"), Span(4, 13, "P")]
    assert spans_of_tags(TOKENS, ["B-A-B", "I-A-B", "I-A", "O", "O"]) == [Span(0, 9, "A-B"), Span(10, 13, "A")]


@pytest.mark.parametrize(
    ("tokens", "tags", "problem"),
    [
        ([], [], "tokens is empty"),
        (["a"], [], "there are 1 tokens and 0 tags"),
        (["a", ""], ["O", "O"], "token 2 is empty"),
        ([5], ["O"], "token 1 is a number"),
        (["a"], [3], "tag 1 is the number 3"),
        (["a"], ["3"], "tag 1 is the number '3'"),
        (["a"], [None], "tag 1 is empty"),
        (["a"], [["O"]], "tag 1 is a list"),
        (["a"], ["B-"], "tag 1 is 'B-', which names nothing"),
        ("a", ["O"], "tokens is a string"),
        (["a"], "O", "tags is a string"),
    ],
)
def test_tokens_without_their_tags_are_refused(tokens, tags, problem):
    with pytest.raises(BadRecord) as caught:
        TOKEN_TAGGED.parse({"tokens": tokens, "tags": tags})
    assert caught.value.problem.startswith(problem)
    assert caught.value.expected


@st.composite
def sentences(draw):
    """Tokens with tags that are sound BIO: nothing goes on that did not begin."""
    tags: list[str] = []
    for wanted in draw(st.lists(st.sampled_from(["O", "B-X", "B-Y", "I"]), min_size=1, max_size=12)):
        before = tags[-1] if tags else "O"
        tags.append(wanted if wanted != "I" else "O" if before == "O" else f"I-{before[2:]}")
    token = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=4)
    return draw(st.lists(token, min_size=len(tags), max_size=len(tags))), tags


@given(sentences())
def test_tags_become_spans_and_tags_again(sentence):
    tokens, tags = sentence
    record = TOKEN_TAGGED.parse({"tokens": tokens, "tags": tags})
    assert bio_tags(tokens, record.spans) == tags
    listed = [[span.start, span.end, span.label] for span in record.spans]
    assert SPAN_TAGGED.parse({"text": record.text, "spans": listed}) == record


def test_a_span_inside_a_token_tags_the_whole_token():
    assert bio_tags(["New-York", "now"], [Span(4, 8, "P")]) == ["B-P", "O"]
