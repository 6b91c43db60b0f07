"""Check, clean, split, fold, search and export: what each does to a version, and what it leaves alone."""

import json

import pytest

from fettle.app.workshop.checking import CheckRequest, check_data, check_leaks_between
from fettle.app.workshop.cleaning import CleanRequest, clean_data, save_steps, steps_of
from fettle.app.workshop.exporting import export_data
from fettle.app.workshop.importing import import_data
from fettle.app.workshop.lineage import ancestry, changes_of, compare_versions
from fettle.app.workshop.looking import find_rows
from fettle.app.workshop.splitting import fold_data, split_data
from fettle.app.workshop.versions import load_rows
from fettle.data.splits.split import Shares, SplitSettings
from fettle.errors import RequestError
from fettle.quality.checking import CHECKS
from fettle.reporting.data_page import data_page
from fettle.storage.workspace import open_workspace

SECRET = "jo.doe@example.com"
TEXTS = [
    ("where is the parcel that I ordered last week", "late", "ada"),
    ("where is the parcel that I ordered last week", "late", "ada"),
    ("Where is the parcel that I ordered last week?", "late", "bob"),
    (f"please write to {SECRET} about the refund of my lamp", "refund", "bob"),
    ("I would like to have my money back for the blue mug", "refund", "cy"),
    ("the lamp is broken and I want a new one", "broken", "cy"),
    ("my order has not come yet, can you look", "late", "dee"),
    ("the plate was cracked when it came out of the box", "broken", "dee"),
]


@pytest.fixture
def home(tmp_path):
    workspace = open_workspace(tmp_path / "home")
    lines = [json.dumps({"text": text, "label": label, "customer": who}) for text, label, who in TEXTS]
    (tmp_path / "mail.jsonl").write_text("\n".join(lines))
    import_data(workspace, [tmp_path / "mail.jsonl"], "mail")
    return workspace


def clean(home, *words, reference="mail", rehearse=False):
    return clean_data(home, CleanRequest(reference, steps_of(words, None), is_rehearsal=rehearse))


def test_findings_name_their_rows_by_file_and_line(home):
    document = check_data(home, CheckRequest("mail")).as_json()
    found = {finding["kind"]: finding for finding in document["findings"]}
    assert [place["line"] for place in found["exact-duplicate"]["rows"]] == [1, 2]
    assert sorted(place["line"] for place in found["near-duplicate"]["rows"]) == [1, 2, 3]
    assert [place["line"] for place in found["personal-data"]["rows"]] == [4]
    assert all(place["file"].endswith("mail.jsonl") for place in found["near-duplicate"]["rows"])
    assert found["near-duplicate"]["mend"] == "fettle data clean mail deduplicate=near"
    assert {entry["check"] for entry in document["not_looked"]} == {
        kind for entry in CHECKS if entry.needs for kind in entry.kinds
    }
    json.dumps(document)


def test_neither_the_document_nor_the_page_spreads_what_is_private(home):
    checked = check_data(home, CheckRequest("mail"))
    assert SECRET not in json.dumps(checked.as_json())
    page = data_page(checked.report())
    assert SECRET not in page
    assert "deduplicate=near" in page


def test_slices_are_fields_or_expressions(home):
    checked = check_data(home, CheckRequest("mail", slices=["customer", 'label == "late"']))
    counted = {each.name: (each.num_rows, each.findings.get("exact-duplicate", 0)) for each in checked.slices}
    assert counted["customer = ada"] == (2, 2)
    assert counted["customer = cy"] == (2, 0)
    assert counted['label == "late"'] == (4, 2)
    by_label = check_data(home, CheckRequest("mail", slices=["label"])).slices
    assert {each.name: each.num_rows for each in by_label} == {
        "label = broken": 2,
        "label = late": 4,
        "label = refund": 2,
    }
    with pytest.raises(RequestError) as caught:
        check_data(home, CheckRequest("mail", slices=["custmer"]))
    assert caught.value.attempt == "--slice customer"
    with pytest.raises(RequestError, match="custmer"):
        check_data(home, CheckRequest("mail", slices=["custmer == 'ada'"]))


def test_leaks_between_two_versions_name_both_sides(home, tmp_path):
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"text": "WHERE is the parcel that I ordered last week", "label": "late"})
        + "\n"
        + json.dumps({"text": "something that nobody ever asked before now", "label": "late"})
    )
    import_data(home, [tmp_path / "test.jsonl"], "published")
    checked = check_leaks_between(home, "mail", "published")
    (finding,) = checked.as_json()["findings"]
    assert checked.has_errors
    assert {(place["version"], place["line"]) for place in finding["rows"]} == {
        ("mail", 1),
        ("mail", 2),
        ("mail", 3),
        ("published", 1),
    }


def test_every_change_is_kept_with_its_reason_and_the_parent_stays(home):
    result = clean(home, "deduplicate=near", "redact=mask")
    assert (result.num_before, result.num_after) == (8, 6)
    assert result.counts == {"deduplicate=near": {"dropped": 2}, "redact=mask": {"changed": 1}}
    assert [row.record.text for row in load_rows(home, f"mail#{result.parent.content_hash}")[1]] == [
        text for text, _, _ in TEXTS
    ]
    difference = compare_versions(home, result.parent.label, result.version.label)
    assert difference.counts() == {"added": 0, "dropped": 2, "changed": 1, "moved": 0}
    assert all(row.reasons for row in difference.rows)
    assert [change.action for change in changes_of(home, result.version)].count("dropped") == 2
    assert ancestry(home, "mail")[1] == result.parent


def test_a_rehearsal_and_a_cleaning_of_nothing_store_nothing(home):
    before = load_rows(home, "mail")[0]
    rehearsed = clean(home, "deduplicate=near", rehearse=True)
    assert rehearsed.num_after == 6
    assert rehearsed.version == before
    assert clean(home, "repair").version == before
    assert load_rows(home, "mail")[0] == before
    with pytest.raises(RequestError, match="no row would be left"):
        clean(home, "keep=words > 100")


def test_cleaning_a_part_leaves_the_others_as_they_are(home):
    split_data(home, "mail", SplitSettings(Shares(0.5, 0.0, 0.5)), is_near=False)
    before = load_rows(home, "mail")[1]
    result = clean(home, "drop-where=words > 0 and label == 'late'", reference="mail@train")
    after = load_rows(home, "mail")[1]
    assert [row for row in after if row.part == "test"] == [row for row in before if row.part == "test"]
    assert not [row for row in after if row.part == "train" and row.record.label == "late"]
    assert result.num_before - result.num_after == len(before) - len(after)


def test_steps_that_were_saved_do_the_same_to_other_rows(home, tmp_path):
    steps = steps_of(["deduplicate=near", "redact=hash", "keep=words > 3"], None)
    save_steps(steps, tmp_path / "steps.toml")
    assert steps_of([], tmp_path / "steps.toml") == steps
    assert steps_of(["repair"], tmp_path / "steps.toml")[-1].operation == "repair"
    with pytest.raises(RequestError, match="nothing to do"):
        steps_of([], None)


def test_nearly_the_same_rows_are_on_one_side(home):
    rows = split_data(home, "mail", SplitSettings(Shares(0.4, 0.2, 0.4))).split.rows
    assert len({row.part for row in rows[:3]}) == 1
    grouped = split_data(home, "mail", SplitSettings(Shares(0.4, 0.2, 0.4), group_by="customer")).split.rows
    assert [row.part for row in grouped] == [row.part for row in rows]


def test_every_row_tests_once_over_the_folds(home):
    made = fold_data(home, "mail", 3)
    tested = [row.record for fold in made for row in load_rows(home, f"{fold.dataset}@test")[1]]
    assert sorted(record.text for record in tested) == sorted(text for text, _, _ in TEXTS)
    assert [fold.dataset for fold in made] == ["mail-fold1", "mail-fold2", "mail-fold3"]
    for fold in made:
        assert check_leaks_between(home, f"{fold.dataset}@train", f"{fold.dataset}@test").findings == []
    assert fold_data(home, "mail", 3) == made


def test_rows_are_found_by_words_and_by_expressions(home):
    assert len(find_rows(home, "mail", search="PARCEL week")[1]) == 3
    assert len(find_rows(home, "mail", search="cy")[1]) == 2
    assert len(find_rows(home, "mail", where="label == 'broken'", search="plate")[1]) == 1


def test_an_export_of_one_part_comes_back_as_its_rows(home, tmp_path):
    split_data(home, "mail", SplitSettings(Shares(0.5, 0.0, 0.5)), is_near=False)
    wanted = [row.record for row in load_rows(home, "mail@test")[1]]
    exported = export_data(home, "mail@test", "csv", tmp_path / "test.csv")
    assert (exported.num_written, exported.num_refused) == (len(wanted), 0)
    import_data(home, [tmp_path / "test.csv"], "again")
    assert [row.record for row in load_rows(home, "again")[1]] == wanted


def test_an_import_knows_the_bytes_that_it_read(home, tmp_path):
    (report,) = [version.report for version in ancestry(home, "mail")]
    (file,) = report["files"]
    assert file["bytes"] == (tmp_path / "mail.jsonl").stat().st_size
    assert len(file["sha256"]) == 64
