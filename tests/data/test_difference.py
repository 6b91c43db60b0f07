"""What differs between two versions: counts add up, and applying the differences gives the other version."""

import unicodedata
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.changes import ACTIONS, RowChange, read_changes, write_changes
from fettle.data.difference import differences
from fettle.data.records import LabelledText, Row

few = st.sampled_from(["a", "b", "c"])
rows = st.lists(
    st.builds(
        Row,
        st.builds(LabelledText, few, few),
        st.sampled_from(["f", "g"]),
        st.integers(1, 4),
        st.dictionaries(st.just("n"), few, max_size=1),
        st.sampled_from(["", "train", "test"]),
    ),
    max_size=8,
)


def said(row):
    return row.record, row.part, tuple(row.fields.items())


@given(rows, rows)
@settings(deadline=None, max_examples=200)
def test_the_old_rows_with_the_differences_applied_are_the_new_rows(old, new):
    found = differences(old, new)
    count = Counter(map(said, old))
    count.subtract(said(difference.before) for difference in found if difference.before)
    assert min(count.values(), default=0) >= 0
    count.update(said(difference.after) for difference in found if difference.after)
    assert +count == Counter(map(said, new))


@given(rows)
@settings(deadline=None, max_examples=100)
def test_the_same_rows_in_any_order_do_not_differ(some):
    assert differences(some, some[::-1]) == []


@given(rows, rows)
@settings(deadline=None, max_examples=100)
def test_an_action_says_which_sides_there_are(old, new):
    for difference in differences(old, new):
        sides = (difference.before is not None, difference.after is not None)
        assert (
            sides
            == {
                "dropped": (True, False),
                "added": (False, True),
                "changed": (True, True),
                "moved": (True, True),
            }[difference.action]
        )
        if difference.action == "moved":
            assert difference.before.record == difference.after.record
            assert difference.before.part != difference.after.part
        if difference.before and difference.after:
            assert (difference.before.file, difference.before.line) == (difference.after.file, difference.after.line)


def test_reasons_are_found_by_what_a_row_said():
    gone = Row(LabelledText("a", "x"), "f", 1)
    (difference,) = differences([gone], [], {gone.content_key: ["deduplicate=exact: the same as f:9"]})
    assert difference.reasons == ("deduplicate=exact: the same as f:9",)


@given(
    st.lists(
        st.builds(
            RowChange,
            st.sampled_from(ACTIONS),
            st.text(max_size=5),
            st.integers(0, 2**40),
            st.text(max_size=3),
            st.text(max_size=3),
            st.text(max_size=5),
            st.text(max_size=20),
        ),
        max_size=5,
    )
)
@settings(deadline=None, max_examples=50)
def test_reading_undoes_writing(changes):
    assert read_changes(write_changes(changes)) == changes


@given(st.text(alphabet="aB \t\n\x1c\u00a0ſ", max_size=12))
@settings(deadline=None, max_examples=300)
def test_the_squeezed_input_is_case_spacing_and_form_aside(text):
    written_out = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    assert Row(LabelledText(text, "x"), "f", 1).squeezed_input == written_out
