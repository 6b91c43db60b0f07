"""A bundle that embeds, put to use: vectors, the nearest items of a file, a lens, and what other bundles refuse."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from app_fixtures import one_core  # noqa: F401
from app_kit import store_rows

from fettle.app.planning import resolve_plan
from fettle.app.running import start_run
from fettle.app.using import Search, load, search_file
from fettle.app.workshop.lens import open_lens
from fettle.data.records import LabelledText, Row
from fettle.errors import RequestError
from fettle.storage.workspace import Workspace, open_workspace
from fettle.tasks.contract import make_bases
from fettle.tasks.table import open_task

ASKED = ["where is my parcel?", "do you have tea?", "=1+1"]
ITEMS = ["Green, black and mint tea.", "Parcels are on their way.", "A kettle of steel.", "Slippers of wool."]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two bundles on one small decoder: one embeds, its instruction before every text, and one classifies."""
    folder = tmp_path_factory.mktemp("searching")
    workspace = open_workspace(folder / "home")
    (folder / "bases").mkdir()
    base = make_bases(folder / "bases")["decoder"]
    for name, task, method in (("shelf", "embed", "ranked"), ("sorter", "classify", "head")):
        samples = open_task(task).method(method).samples
        store_rows(workspace, name, task, [Row(record, "f", line) for line, record in enumerate(samples, 1)])
        words = [f"data={name}", f"base=random:{base}", f"method={method}", "adapter.kind=lora", "adapter.rank=2"]
        words += ["training.max_steps=2", "training.rows_per_step=4", "prompt.instruction=say it"]
        start_run(workspace, resolve_plan(task, words), name)
    return workspace


def test_vectors_are_of_length_one_and_may_be_cut(one_core: None, workspace: Workspace) -> None:
    model = load("shelf", workspace)
    vectors = model.embed(ASKED)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    cut = model.embed(ASKED, 8)
    assert np.allclose(cut, vectors[:, :8] / np.linalg.norm(vectors[:, :8], axis=1, keepdims=True), atol=1e-6)
    with pytest.raises(RequestError, match="sorter learned no vectors"):
        load("sorter", workspace).embed(ASKED)


def test_the_nearest_items_stand_beside_every_column(one_core: None, workspace: Workspace, tmp_path: Path) -> None:
    file, items, out = (tmp_path / name for name in ("in.csv", "items.csv", "out.csv"))
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["id", "said", "answer"], *([n, text, "old"] for n, text in enumerate(ASKED))])
    with items.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["price", "about"], *([1, text] for text in [*ITEMS, ITEMS[0]])])
    told: list[int] = []
    search = Search(file, items, out, {"said": "text", "about": "item"})
    result = search_file(workspace, "shelf", search, told.append)
    assert (result.num_rows, sum(told)) == (3, 3)

    model = load("shelf", workspace)
    cosines = model.embed(ASKED) @ model.embed(ITEMS).T
    with out.open(newline="", encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    for row, text, scores in zip(written, ASKED, cosines, strict=True):
        order = np.argsort(-scores)[:3]
        assert (row["said"], row["answer"]) == (text, "old")
        found = [row[name] for name in ("fettle answer", "answer 2", "answer 3")]
        assert found == [ITEMS[place] for place in order]
        assert [float(row[name]) for name in ("score", "score 2", "score 3")] == pytest.approx(scores[order], abs=1e-5)
    assert [[item for item, _ in each] for each in model.nearest(ASKED, ITEMS, 1)] == [
        [ITEMS[place]] for place in cosines.argmax(axis=1)
    ]

    unclear = Search(file, items, out, {"said": "text"})
    with pytest.raises(RequestError, match="not clear which column"):
        search_file(workspace, "shelf", unclear)


def test_a_lens_of_a_bundle_embeds_as_the_bundle_does(one_core: None, workspace: Workspace) -> None:
    lens = open_lens(workspace, "shelf")
    assert lens.embed is not None
    assert np.array_equal(lens.embed(ASKED), load("shelf", workspace).embed(ASKED))
    assert lens.count("classify", [])(LabelledText("tea", "tea")) > 2
    assert open_lens(workspace, "sorter").embed is None, "a decoder that learned no vectors counts tokens"
