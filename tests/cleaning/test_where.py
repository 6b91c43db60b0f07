"""The language of filters: what an expression means, and how its faults are told."""

import pytest
from cleaning_kit import row_lists
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.cleaning.expressions import AllOf, AnyOf, Comparison, Not, parse_expression
from fettle.cleaning.where import NAMES, Where, fields_of, labels_in, spoken_text
from fettle.data.records import (
    Conversation,
    JudgedAnswer,
    LabelledText,
    Message,
    MultiLabelledText,
    PlainText,
    Row,
    ScoredText,
    input_text,
)
from fettle.errors import RequestError

TURNS = (Message("user", "where is it"), Message("assistant", "On its way"))
ROWS = [
    Row(
        LabelledText("Where is my parcel?", "late"),
        "a.csv",
        2,
        {"at": "2024-03-01", "stars": "4", "who am i": "x"},
        "test",
    ),
    Row(LabelledText("thanks", "other"), "a.csv", 3, {"at": "2023-12-31", "stars": "10", "label": "mine"}),
    Row(MultiLabelledText("straße", ("late", "rude")), "b.csv", 4, {"stars": "none"}, "train"),
    Row(MultiLabelledText("", ()), "b.csv", 5, {}, "validation"),
    Row(Conversation(TURNS), "c.jsonl", 1),
    Row(ScoredText("a", 2.5, "b"), "c.jsonl", 2),
    Row(JudgedAnswer(TURNS[:1], TURNS[1:], True), "c.jsonl", 3),
]


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ('label = "late"', [0, 2]),
        ("label == 'late' and label = 'rude'", [2]),
        ('label != "late"', [1, 3, 4, 5, 6]),
        ('label in ["rude", "other"]', [1, 2]),
        ('label not in ["rude", "other"]', [0, 3, 4, 5, 6]),
        ('label = ""', [3, 4, 5]),
        ('label = "good"', [6]),
        ('text contains "PARCEL"', [0]),
        ('text contains "STRASSE"', [2]),
        ("text matches /parcel\\?$/", [0]),
        ("text matches /PARCEL/", []),
        ("text matches /PARCEL/i or text matches /^thanks$/", [0, 1]),
        ("file matches /^a\\.|\\/x/", [0, 1]),
        ("label matches /^r/", [2]),
        ("label matches /^$/", [3, 4, 5]),
        ('answer contains "on its way"', [4, 6]),
        ('part = "train"', [1, 2, 4, 5, 6]),
        ('part in ["test", "validation"]', [0, 3]),
        ("line >= 4", [2, 3]),
        ("line in [1, 5]", [3, 4]),
        ("words < 2", [1, 2, 3]),
        ("words = 6", [4, 6]),
        ("length = 6", [1, 2]),
        ("turns > 0", [4, 6]),
        ("score > 2 and score < 3", [5]),
        ("stars > 4", [1]),
        ('stars > "4"', [2]),
        ("stars = 4", [0]),
        ("stars != 4", [1, 2, 3, 4, 5, 6]),
        ("stars < 100", [0, 1]),
        ('at >= "2024"', [0]),
        ('at = ""', [2, 3, 4, 5, 6]),
        ("`who am i` = 'x'", [0]),
        ("fields.label = 'mine'", [1]),
        ("not (line < 3 or line > 3)", [1, 6]),
        ("not line < 3 and line < 4", [1, 6]),
        ('line = 1 or line = 2 and file = "a.csv"', [0, 4]),
        ('text = "it\\"s"', []),
        ('language = "de"', [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_what_an_expression_means(source, places):
    where = Where.parse(source, lambda text: "de")
    where.check_names(fields_of(ROWS))
    assert [place for place, holds in enumerate(where.holds(ROWS)) if holds] == places


def test_and_binds_closer_than_or():
    one, two, three = (Comparison("line", "=", float(n)) for n in (1, 2, 3))
    assert parse_expression("line=1 or line=2 and not line=3") == AnyOf((one, AllOf((two, Not(three)))))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "the end is no name"),
        ("label", "the end stands where label is compared"),
        ('label "a"', '"a" (character 7) stands where label is compared'),
        ("label = refund", "refund (character 9) is no value"),
        ("label in 'a'", "'a' (character 10) stands where a list belongs"),
        ("label in ['a' 'b']", "'b' (character 15) stands where a comma or ] belongs"),
        ("label in ['a'", "the end stands where a comma"),
        ("(line = 1", "the end stands where a closing parenthesis belongs"),
        ("line = 1 line = 2", "line (character 10) stands where and, or or the end belongs"),
        ("line = 1)", ") (character 9) stands where"),
        ("line = 2024-01-31", "2 (character 8) is no value"),
        ("text matches 'a'", "'a' (character 14) is no regular expression"),
        ("text matches /(/", "/(/ is no regular expression"),
        ("text matches /(?=a)/", "is no regular expression"),
        ("text matches /(a)\\1/", "is no regular expression"),
        ("text & 'a'", "& (character 6) stands where text is compared"),
        ("__import__('os')", "( (character 11) stands where __import__ is compared"),
        ("not " * 50 + "line = 1", "parentheses 40 deep"),
        ("(" * 50 + "line = 1" + ")" * 50, "parentheses 40 deep"),
        ("line = 1 or " * 400 + "line = 1", "an expression of 4808 characters"),
    ],
)
def test_faults_name_the_character(source, said):
    with pytest.raises(RequestError) as caught:
        parse_expression(source)
    assert said in str(caught.value)


def test_a_forgotten_quote_is_shown():
    with pytest.raises(RequestError) as caught:
        parse_expression("label = refund and line = 1")
    assert caught.value.attempt == 'label = "refund"'


def test_misspelt_names_name_their_neighbours_all_at_once():
    with pytest.raises(RequestError) as caught:
        Where.parse("lable = 'a' or wrods > 3 or strs = 1").check_names(fields_of(ROWS))
    assert [(fault.problem, fault.attempt) for fault in caught.value.faults] == [
        ("there is nothing named 'lable'", "label"),
        ("there is nothing named 'wrods'", "words"),
        ("there is nothing named 'strs'", "stars, turns"),
    ]


def test_a_regular_expression_never_runs_away():
    # A backtracking engine would need more than the age of the universe.
    row = Row(PlainText("a" * 60 + "!"), "f", 1)
    assert Where.parse("text matches /^(a+)+$/ or text matches /(a|a)*b/").holds([row]) == [False]


def test_half_a_surrogate_pair_is_no_letter():
    assert Where.parse("text matches /^.a$/").holds([Row(PlainText("\ud800a"), "f", 1)]) == [True]


@given(rows=row_lists())
@settings(deadline=None, max_examples=40)
def test_every_name_answers_for_every_kind_of_record(rows):
    for name in NAMES:
        for source in (f"{name} = 'x'", f"{name} < 3", f"{name} matches /./"):
            where = Where.parse(source, lambda text: "de")
            assert len(where.holds(rows)) == len(rows)
    for row in rows:
        assert all(label not in ("", None) for label in labels_in(row.record))
        assert isinstance(spoken_text(row.record), str)


NAMED = st.sampled_from(["line", "words"])
LEAVES = st.builds(Comparison, NAMED, st.sampled_from(["=", "!=", "<", ">="]), st.integers(0, 9).map(float))
TREES = st.recursive(
    LEAVES,
    lambda part: (
        st.builds(Not, part)
        | st.builds(AllOf, st.lists(part, min_size=2, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(part, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def written(tree):
    match tree:
        case Comparison(name, operator, value):
            return f"{name} {operator} {value:g}"
        case Not(part):
            return f"not ({written(part)})"
        case AllOf(parts):
            return " and ".join(f"({written(part)})" for part in parts)
        case AnyOf(parts):
            return " or ".join(f"({written(part)})" for part in parts)


def meant(tree, row):
    match tree:
        case Comparison(name, operator, value):
            actual = row.line if name == "line" else len(input_text(row.record).split())
            return {"=": actual == value, "!=": actual != value, "<": actual < value, ">=": actual >= value}[operator]
        case Not(part):
            return not meant(part, row)
        case AllOf(parts):
            return all(meant(part, row) for part in parts)
        case AnyOf(parts):
            return any(meant(part, row) for part in parts)


@given(TREES)
@settings(deadline=None, max_examples=150)
def test_reading_undoes_writing_and_logic_is_logic(tree):
    rows = [Row(PlainText("a " * num_words), "f", line) for line in range(4) for num_words in range(4)]
    where = Where.parse(written(tree))
    assert where.expression == tree
    assert where.holds(rows) == [meant(tree, row) for row in rows]
