"""Checks of labels and of sets: what they say, whom they name, and that they are silent where nothing is known."""

import msgspec
import numpy as np
import pytest

from fettle.data.records import Conversation, LabelledText, Message, PlainText, Row
from fettle.quality.checks import labels as of_labels
from fettle.quality.checks import sets as of_sets
from fettle.quality.finding import SEVERITIES, VERSION_WORD, Given

GIVEN = Given("classify")
CHECKS = [
    of_labels.wrong_labels,
    of_labels.contradicting_rows,
    of_labels.label_balance,
    of_labels.spellings_of_labels,
    of_labels.labels_never_learned,
    of_sets.strange_rows,
    of_sets.low_diversity,
    of_sets.inconsistent_format,
    of_sets.unlike_real_inputs,
    of_sets.too_long,
]
SUBJECTS = {
    "card": ("card", "chip", "post", "envelope", "arrive", "delivery", "plastic"),
    "fee": ("fee", "charge", "cost", "price", "monthly", "expensive", "percent"),
    "login": ("password", "login", "app", "screen", "locked", "code", "device"),
}


def labelled(text, label, part=""):
    return Row(LabelledText(text, label), "a.csv", 1, {}, part)


def asked(question, answer, *, system="You help."):
    turns = (Message("system", system), Message("user", question), Message("assistant", answer))
    return Row(Conversation(turns), "a.jsonl", 1)


def queries(num_rows=240, seed=0):
    """Labelled rows whose words say their label."""
    generator = np.random.default_rng(seed)
    names = list(SUBJECTS)
    rows = []
    for number in range(num_rows):
        label = names[number % 3]
        words = generator.choice(SUBJECTS[label], 4, replace=False)
        rows.append(labelled(f"my {words[0]} and the {words[1]} {words[2]} {words[3]} case {number}", label))
    return rows


def relabelled(row, label):
    return msgspec.structs.replace(row, record=LabelledText(row.record.text, label))


def the(findings, kind, severity=None):
    """The one finding of a kind."""
    found = [each for each in findings if each.kind == kind and severity in (None, each.severity)]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [labelled("one", "a")],
        [labelled("", "")] * 120,
        [labelled("all the same text", "a")] * 120,
        [labelled(f"text {each}", f"label {each // 2}") for each in range(120)],
        [asked("hello", "Hello.")] * 120,
        [asked("", "")] * 120,
        [Row(Conversation(()), "a", 1)] * 60,
        [Row(PlainText(""), "a", 1)] * 60,
        [labelled("text", "a"), asked("q", "a"), Row(PlainText("document"), "a", 1)] * 20,
    ],
)
def test_no_check_crashes_and_all_findings_are_well_formed(check, rows):
    given = Given("classify", num_tokens=lambda record: len(str(record)), most_tokens=10, like=rows)
    for each in check(rows, given):
        assert each.severity in SEVERITIES and each.problem and each.kind
        assert all(0 <= place < len(rows) for place in each.members)
        assert all(0 <= place < len(given.like) for place in each.others)
        assert not each.mend or each.mend.startswith(f"fettle data clean {VERSION_WORD} ")
        msgspec.json.encode(each)


@pytest.mark.parametrize("check", CHECKS)
def test_small_sets_are_not_judged(check):
    rows = queries(45)
    assert not list(check([relabelled(rows[0], "fee"), *rows[1:]], GIVEN))


def test_members_have_reasons_of_their_own_in_their_order():
    rows = [*queries(240), labelled(queries(1)[0].record.text, "fee"), labelled("what now", "else", "test")]
    rows[10] = relabelled(rows[10], "fee")
    given = Given("classify", num_tokens=lambda record: len(record.text), most_tokens=30)
    found = [each for check in CHECKS for each in check(rows, given) if each.reasons]
    assert {each.kind for each in found} >= {"wrong-label", "contradiction", "too-long"}
    for each in found:
        assert len(each.reasons) == len(each.members), each.kind
    long = the(found, "too-long")
    assert long.reasons == tuple(f"{len(rows[place].record.text)} tokens, 30 fit" for place in long.members)
    doubted = the(found, "wrong-label")
    for place, reason in zip(doubted.members, doubted.reasons, strict=True):
        assert reason.startswith(f"“{rows[place].record.label}” is doubted")


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_set_is_left_in_peace(check):
    assert not [each for each in check(queries(), GIVEN) if each.severity != "note"]


def test_wrong_labels_are_named_with_what_is_likelier_and_the_rest_is_ranked():
    rows = queries()
    planted = {10: "fee", 50: "card", 90: "login", 131: "fee"}
    planted = {place: label for place, label in planted.items() if rows[place].record.label != label}
    for place, label in planted.items():
        rows[place] = relabelled(rows[place], label)
    findings = list(of_labels.wrong_labels(rows, GIVEN))
    found, rest = the(findings, "wrong-label", "warning"), the(findings, "wrong-label", "note")
    assert set(found.members) <= set(planted) and len(found.members) >= len(planted) - 1
    assert set(planted) <= {*found.members, *rest.members}
    assert not set(found.members) & set(rest.members)
    assert len(found.members) + len(rest.members) == 24
    first = found.evidence["rows"][0]
    assert first["given"] == rows[found.members[0]].record.label
    assert first["likelier_probability"] > first["given_probability"]
    assert found.mend == f"fettle data clean {VERSION_WORD} drop=wrong-label" and not rest.mend


def test_people_are_asked_where_the_classifier_knows_little():
    rows = queries(600)
    generator = np.random.default_rng(0)
    leaning = generator.uniform(-1, 1, len(rows))
    # The nearer to the middle a row lies, the more its label is a matter of taste.
    said = np.where(generator.random(len(rows)) < (1 + leaning) / 2, "card", "fee").tolist()
    vectors = np.stack([leaning, np.sqrt(1 - leaning**2)], axis=1).astype(np.float32)
    found = the(
        of_labels.wrong_labels(
            [relabelled(row, label) for row, label in zip(rows, said, strict=True)],
            Given("classify", embed=lambda texts: vectors[: len(texts)]),
        ),
        "wrong-label",
        "warning",
    )
    assert found.mend == f"fettle data export {VERSION_WORD} --to review --out review.xlsx"
    assert found.evidence["knowledge"] < of_labels.LEAST_KNOWLEDGE


def test_an_embedder_is_asked_where_there_is_one():
    rows = queries(90)
    seen = []

    def embed(texts):
        seen.extend(texts)
        return np.eye(3, dtype=np.float32)[[place % 3 for place in range(len(texts))]]

    found = the(
        of_labels.wrong_labels([relabelled(rows[0], "fee"), *rows[1:]], Given("classify", embed=embed)),
        "wrong-label",
        "warning",
    )
    assert found.members == (0,) and seen == [row.record.text for row in rows]


def test_one_input_with_two_labels_is_an_error_in_training_and_a_warning_elsewhere():
    rows = queries(60)
    text = rows[3].record.text
    error = the(of_labels.contradicting_rows([*rows, labelled(text.upper(), "fee")], GIVEN), "contradiction")
    assert error.severity == "error" and error.members == (3, 60)
    for other in (labelled(text, "fee", "test"), labelled(text.replace(" ", ", "), "fee")):
        assert the(of_labels.contradicting_rows([*rows, other], GIVEN), "contradiction").severity == "warning"


def test_a_greeting_may_be_answered_in_many_ways_and_a_question_may_not():
    question = "How long does a transfer to another bank take?"
    rows = [
        asked("Hello there", "Hi."),
        asked("Hello there", "Good day."),
        asked(question, "Two days."),
        asked(question, "A week."),
    ]
    found = the(of_labels.contradicting_rows(rows, Given("chat")), "contradiction")
    assert found.members == (2, 3) and found.severity == "warning"


def test_imbalance_counts_what_is_learned_only():
    rows = [labelled(f"t {each}", "often", "train") for each in range(90)]
    rows += [labelled("rare", "seldom", "train")] * 3 + [labelled("held", "seldom", "test")] * 50
    rare, ratio = of_labels.label_balance(rows, GIVEN)
    assert rare.members == (90, 91, 92) and rare.evidence["counts"] == {"often": 90, "seldom": 3}
    assert "30 times" in ratio.problem and ratio.mend.endswith("balance=up")
    assert "every row" in the(of_labels.label_balance(rows[:90], GIVEN), "imbalance").problem


def test_labels_that_only_the_test_has_are_unknown():
    rows = [labelled("a", "one", "train"), labelled("b", "two", "test"), labelled("c", "one", "test")]
    found = the(of_labels.labels_never_learned(rows, GIVEN), "unknown-label")
    assert found.members == (1,) and found.severity == "error"
    assert not list(of_labels.labels_never_learned([labelled("b", "two", "test")], GIVEN))


def test_spellings_name_the_rarer_rows():
    rows = [labelled("t", "Refund")] * 9 + [labelled("t", "refunds")] * 2
    assert the(of_labels.spellings_of_labels(rows, GIVEN), "label-spelling").members == (9, 10)


def test_rows_from_elsewhere_are_off_topic_by_their_words():
    strange = [
        f"which {noun} was discovered by an ancient astronomer"
        for noun in ("comet", "planet", "moon", "star", "nebula")
    ]
    rows = queries(200) + [labelled(text, "fee") for text in strange]
    found = the(of_sets.strange_rows(rows, GIVEN), "off-topic")
    assert set(range(200, 205)) <= set(found.members) and len(found.members) <= 9
    assert {"which", "astronomer"} & set(found.evidence["terms"])


def test_answers_that_break_the_form_are_found_in_conversations():
    rows = [asked(f"question {each} about cards", f'{{"intent": "{each}"}}') for each in range(70)]
    found = the(
        of_sets.inconsistent_format([*rows, asked("and another question", "It is 3.")], Given("chat")),
        "inconsistent-format",
    )
    assert found.members == (70,) and found.severity == "warning"


def test_inputs_that_begin_alike_are_named():
    rows = [asked(f"Tell me about {each} and {each * each}", f"Fact {each}.") for each in range(80)]
    begins = [each for each in of_sets.low_diversity(rows, Given("chat")) if "begin with" in each.problem]
    assert begins[0].members == tuple(range(80)) and "tell me about" in begins[0].problem
    rows = [asked("what is it that you want to do with the thing", f"yes or no {each % 3}") for each in range(300)]
    assert any("repeat themselves" in each.problem for each in of_sets.low_diversity(rows, Given("chat")))


def test_rows_are_held_against_real_inputs():
    rows, like = (
        queries(120),
        [labelled(f"which river {each} flows through the ancient city {each}", "") for each in range(40)],
    )
    found = the(of_sets.unlike_real_inputs(rows, Given("classify", like=[*like, *queries(60, 1)])), "unrepresentative")
    assert set(range(40)) <= set(found.others) and not found.members
    assert "river" in found.evidence["terms_of_real"] and found.severity == "warning"
    assert not list(of_sets.unlike_real_inputs(rows, Given("classify", like=queries(60, 1))))


def test_rows_longer_than_the_context_are_named_and_the_lengths_told():
    rows = [labelled("x" * each, "a") for each in range(1, 101)]
    given = Given("classify", num_tokens=lambda record: len(record.text), most_tokens=97)
    findings = list(of_sets.too_long(rows, given))
    assert the(findings, "too-long", "warning").members == (99, 98, 97)
    assert the(findings, "too-long", "note").evidence["quantiles"]["most"] == 100
    assert not list(of_sets.too_long(rows, GIVEN))


def test_the_same_rows_give_the_same_findings():
    rows = [*queries(120), labelled(queries(1)[0].record.text, "fee")]
    for check in CHECKS:
        assert list(check(rows, GIVEN)) == list(check(rows, GIVEN))
