"""What people see of a text is all of the text, or it says what is missing; nothing of it hides or acts."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from fettle.reporting.data_report import Mark
from fettle.reporting.visible import MOST_LINES, MOST_STACKED_MARKS, differing, marked, visible

ANYTHING = st.text(st.characters(categories=None, exclude_categories=()), max_size=60)
PLAIN = st.text(st.sampled_from("ab c<>&\"'é漢🙂-1"), max_size=60)
LONG = st.text(st.sampled_from("ab c"), min_size=500, max_size=900)
MARKS = st.lists(
    st.builds(Mark, st.integers(-5, 1000), st.integers(-5, 1000), st.sampled_from(["", "mail"])), max_size=5
)


def parsed(html: str) -> LexborHTMLParser:
    return LexborHTMLParser(f"<!doctype html><body><div>{html}</div>")


def read(html: str, *without: str) -> str:
    """The text of a piece of HTML, some of its classes left out."""
    page = parsed(html)
    for name in without:
        for node in page.css(f".{name}"):
            node.decompose()
    return page.css_first("div").text()


@given(PLAIN)
def test_what_shows_itself_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert read(marked(text)) == text


@given(ANYTHING, MARKS)
def test_nothing_hides_whatever_the_text_holds(text: str, marks: list[Mark]) -> None:
    for shown in (visible(text), read(marked(text, marks))):
        shown.encode()
        for at, char in enumerate(shown):
            if char in "\u200c\u200d":  # these are wanted between letters, and only there
                assert shown[at - 1].isprintable() and shown[at + 1].isprintable() and at > 0
            else:
                assert char.isprintable() or char in "\n\t\u3000"
    assert "\n" not in visible(text)


@given(ANYTHING, MARKS)
def test_no_tag_comes_out_of_a_text(text: str, marks: list[Mark]) -> None:
    tags = re.findall(r"<[^>]*>", marked(text, marks))
    assert {re.sub(r' title="[a-z0-9 ()-]*"', "", tag) for tag in tags} <= {
        "<mark>",
        "</mark>",
        '<span class="code">',
        '<span class="what">',
        "</span>",
    }


@given(ANYTHING, st.integers(1, 40))
def test_a_line_is_never_longer_than_asked(text: str, most_characters: int) -> None:
    for from_end in (False, True):
        shown = visible(text, most_characters, from_end=from_end)
        assert len(shown) <= most_characters
        assert visible(shown, most_characters) == shown or from_end
        assert (len(text) <= most_characters) or "…" in shown


def test_the_end_is_kept_where_the_end_tells() -> None:
    assert visible("a/b/c.jsonl", 7) == "a/b/c.…"
    assert visible("a/b/c.jsonl", 7, from_end=True) == "….jsonl"
    assert visible("c.jsonl", 7, from_end=True) == "c.jsonl"


def test_every_control_and_format_character_is_named() -> None:
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    found = [char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) in hidden]
    assert len(found) > 2000
    for char in found:
        assert visible(f"a{char}b") == f"a[U+{ord(char):04X}]b"
        if char not in "\n\t":
            assert read(marked(f"a{char}b")) == f"aU+{ord(char):04X}b"


@pytest.mark.parametrize("code", [0x34F, 0x115F, 0x2800, 0x3164, 0xFFA0, 0xFE00, 0xFE0F, 0xE0101, 0xA0, 0x2003, 0xE000])
def test_blanks_that_count_as_letters_are_named(code: int) -> None:
    assert visible(f"a{chr(code)}b") == f"a[U+{code:04X}]b"


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f\u200d\U0001f525 1\ufe0f\u20e3",
        "می\u200cخواهم",
        "क\u094dष",
        "e\u0301te\u0301",
        "全角\u3000空白",
        "שָׁלוֹם",
    ],
)
def test_writing_is_left_alone(text: str) -> None:
    assert visible(text) == text
    assert read(marked(text)) == text


def test_a_joiner_between_plain_letters_hides() -> None:
    assert visible("pass\u200dword") == "pass[U+200D]word"
    assert visible("\u200d") == "[U+200D]"


def test_runs_of_one_character_are_counted() -> None:
    assert visible("a" + "\u200b" * 300 + "\u200c") == "a[U+200B ×300][U+200C]"


@given(st.integers(0, 30))
def test_marks_that_climb_are_shown_as_codes(num_marks: int) -> None:
    shown = visible("z" + "\u0301" * num_marks)
    assert shown.count("\u0301") == min(num_marks, MOST_STACKED_MARKS)
    assert ("[U+0301" in shown) == (num_marks > MOST_STACKED_MARKS)
    assert visible("\u0301" * num_marks).count("\u0301") == 0


@given(LONG, MARKS, st.integers(90, 300))
def test_what_is_cut_is_counted(text: str, marks: list[Mark], most_characters: int) -> None:
    html = marked(text, marks, most_characters)
    gaps = [gap.text() for gap in parsed(html).css(".gap")]
    left_out = sum(int(re.search(r"([\d,]+) character", gap)[1].replace(",", "")) for gap in gaps)
    shown = read(html, "gap", "what")
    assert len(shown) + left_out == len(text)
    assert len(shown) <= most_characters
    assert gaps
    assert text.startswith(shown[:80])


@given(PLAIN, MARKS)
def test_exactly_what_is_marked_is_marked(text: str, marks: list[Mark]) -> None:
    html = marked(text, marks)
    inside = {at for mark in marks for at in range(max(0, mark.start), min(len(text), mark.end))}
    page = parsed(html)
    for label in page.css(".what"):
        label.decompose()
    assert "".join(mark.text() for mark in page.css("mark")) == "".join(text[at] for at in sorted(inside))
    assert read(html, "what") == text
    labels = {mark.label for mark in marks if mark.label and max(0, mark.start) < min(len(text), mark.end)}
    assert {label.text() for label in parsed(html).css(".what")} == labels


def test_overlapping_marks_are_one_and_touching_ones_are_two() -> None:
    html = marked("0123456789", [Mark(4, 8, "b"), Mark(1, 6, "a"), Mark(8, 9, "c"), Mark(5, 6, "a")])
    assert [mark.text() for mark in parsed(html).css("mark")] == ["1234567a, b", "8c"]


def test_a_mark_far_inside_is_found_and_those_not_shown_are_counted() -> None:
    text = "x" * 5000 + "SECRET" + "y" * 5000
    html = marked(text, [Mark(5000, 5006, "key"), Mark(9000, 9001), Mark(9005, 9006)], 240)
    assert "SECRET" in html
    assert [mark.text() for mark in parsed(html).css("mark")] == ["SECRETkey"]
    assert [gap.text() for gap in parsed(html).css(".gap")][-1].endswith("characters, 2 marked places …")
    assert len(read(html, "gap", "what")) == 240


def test_a_mark_right_behind_what_is_shown_is_counted_and_an_empty_one_is_not() -> None:
    text = "x" * 1000
    html = marked(text, [Mark(0, 20), Mark(100, 120), Mark(700, 700)], 100)
    assert [gap.text() for gap in parsed(html).css(".gap")] == ["… 900 characters, 1 marked place …"]


def test_lines_are_few_and_none_is_lost() -> None:
    text = "\n".join("abc" for _ in range(100))
    shown = read(marked(text))
    assert shown.count("\n") == MOST_LINES - 1
    assert shown.count("↵") == 100 - MOST_LINES
    assert shown.count("abc") == 100
    assert marked("a\nb") == "a\nb"
    pieces = marked(text.replace("b", "\u200b"), [Mark(10, 20), Mark(30, 40)])
    assert (pieces.count("\n"), pieces.count("↵")) == (MOST_LINES - 1, 100 - MOST_LINES)


def test_marks_of_another_kind_carry_their_class() -> None:
    assert marked("ab", [Mark(0, 1)], 10, "differs") == '<mark class="differs">a</mark>b'


@given(st.lists(st.sampled_from(["send", "my", "the", "parcel", "back", ","]), max_size=12))
def test_a_text_does_not_differ_from_itself(words: list[str]) -> None:
    assert differing(" ".join(words), " ".join(words)) == []


def test_words_that_differ_are_found_and_other_texts_are_left_alone() -> None:
    text, other = "please send the blue jacket back today", "please send the red jacket back today"
    assert [text[mark.start : mark.end] for mark in differing(text, other)] == ["blue"]
    assert [other[mark.start : mark.end] for mark in differing(other, text)] == ["red"]
    assert differing("please send it", "quarterly figures of ACME") == []
    assert differing("a b c", "a b c d") == []
