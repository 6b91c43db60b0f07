"""Steps are read from words and from files, and written so that they can be done again."""

from dataclasses import replace

import pytest
from cleaning_kit import DETECTORS
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.cleaning.config import DeduplicateSettings, LabelsSettings, RedactSettings
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.steps import Step, make_operations, parse_steps, read_words, write_steps
from fettle.cleaning.table import OPERATIONS
from fettle.errors import RequestError, UnknownName

strings = st.text(max_size=12).filter(lambda text: text.isascii() or text.encode("utf-8", "ignore").decode() == text)
names = st.dictionaries(strings, st.just("end"), max_size=3).filter(lambda names: "end" not in names)
STEPS = st.one_of(
    st.builds(
        lambda kind, keep, threshold: Step(
            "deduplicate", DeduplicateSettings(kind=kind, keep=keep, threshold=threshold)
        ),
        st.sampled_from(["exact", "near"]),
        st.sampled_from(["longest", "newest(a b)"]),
        st.one_of(st.none(), st.floats(1e-9, 1.0)),
    ),
    st.builds(
        lambda salt, fields: Step("redact", RedactSettings(how="hash", salt=salt, fields=tuple(fields))),
        strings,
        st.lists(strings, max_size=3),
    ),
    st.builds(lambda names: Step("labels", LabelsSettings(map=names)), names),
    st.sampled_from(read_words(["repair", "strip=html", "keep=line > 3", "sample=7", "balance=up", "length=2.."])),
)


@given(st.lists(STEPS, max_size=5))
@settings(deadline=None, max_examples=150)
def test_reading_undoes_writing(steps):
    assert parse_steps(write_steps(steps), "steps.toml") == steps


def test_words_and_files_say_the_same():
    words = ["repair", "strip=html", "redact=mask", "deduplicate=near", "keep=label = 'a=b'", "sample=10", "labels"]
    steps = read_words(words)
    assert [step.word for step in steps] == [*words[:-1], "labels=merge"]
    assert parse_steps(write_steps(steps), "f") == steps
    assert steps[5].settings.num_rows == 10
    assert steps[4].settings.where == "label = 'a=b'"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_in_the_table_is_a_step(name):
    word = OPERATIONS[name].example.replace("'", "", 1).removesuffix("'")
    steps = read_words([word])
    assert steps[0].operation == name
    assert make_operations(steps, replace(DETECTORS, checks={"wrong-label": list}))[0].name == name


def test_all_faults_of_the_words_are_told():
    with pytest.raises(RequestError) as caught:
        read_words(["repare", "repair=yes", "strip", "strip=htm", "sample=0", "length=5..2", "deduplicate=near"])
    found = [(fault.file, fault.problem, fault.attempt) for fault in caught.value.faults]
    assert found[0] == ("repare", "there is no operation 'repare'", "repair")
    assert found[1][1] == "repair takes no value"
    assert found[2][1:] == ("strip needs a value", "strip=html")
    assert "what = 'htm'" in found[3][1]
    assert "num_rows = '0'" in found[4][1]
    assert "its end lies before its beginning" in found[5][1]
    assert len(found) == 6


def test_all_faults_of_a_file_are_told_with_their_lines():
    text = """
more = 1
[[steps]]
operation = "deduplicate"
kind = "near"
kep = "longest"
threshold = 2

  [[ steps ]]
operation = "dedup"

[[steps]]
kind = "near"

[[steps]]
operation = "labels"
map = {a = "b", b = "a"}

[[steps]]
operation = "repair"
what = 3

[[steps]]
operation = "deduplicate"
kind = "exact"
keep = "longst"
"""
    with pytest.raises(RequestError) as caught:
        parse_steps(text, "s.toml")
    found = [(fault.line, fault.problem, fault.attempt) for fault in caught.value.faults]
    assert [line for line, _, _ in found] == [0, 3, 3, 9, 12, 15, 19, 23]
    assert found[0][1:] == ("there is no setting 'more'", "steps")
    assert found[1][1:] == ("deduplicate has no setting 'kep'", "keep")
    assert "threshold = 2" in found[2][1]
    assert found[3][1:] == ("there is no operation 'dedup'", "deduplicate")
    assert found[4][1] == "the operation is missing"
    assert "circle: a → b → a" in found[5][1]
    assert found[6][1] == "repair has no setting 'what'"
    assert "near: longest" in found[7][1]


@pytest.mark.parametrize("text", ["steps = 3", "steps = [3]", "", "a"])
def test_a_file_without_steps_is_refused(text):
    with pytest.raises(RequestError):
        parse_steps(text, "s.toml")


def test_an_operation_without_its_detector_says_so_before_any_row_is_read():
    for word, wanted in (("redact=mask", "private"), ("drop=wrong-label", "no kind of finding")):
        with pytest.raises(RequestError, match=wanted):
            make_operations(read_words([word]), Detectors())
    with pytest.raises(UnknownName) as caught:
        make_operations(read_words(["drop=shrt"]), DETECTORS)
    assert caught.value.attempt == "short"
    with pytest.raises(RequestError, match="is no value"):
        make_operations(read_words(["keep=label = a"]), DETECTORS)
