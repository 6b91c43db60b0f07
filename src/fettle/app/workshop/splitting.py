"""Every row gets a part: by its input, in whole groups, by label or by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fettle.app.workshop.versions import Operation, find_version, keep_version, start_dataset, stream_rows
from fettle.data.records import Row, input_text
from fettle.data.splits.groups import folds, groups_of
from fettle.data.splits.split import PARTS, Split, SplitSettings, split
from fettle.data.versions import rows_of_part
from fettle.quality.alike.similar import cluster_numbers, similar_pairs
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace


@dataclass(frozen=True)
class SplitResult:
    """The version that came of a split, and how the rows fell. `empty_parts` were to have rows and got none."""

    version: StoredVersion
    split: Split
    empty_parts: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The result in the words of the terminal contract."""
        return {"version": self.version.label, **self.version.report, "parts": self.split.num_rows}


def split_data(workspace: Workspace, reference: str, settings: SplitSettings, *, is_near: bool = True) -> SplitResult:
    """Give every row without a part one of train, validation and test. A row that has a part keeps it.

    With `is_near` rows whose inputs are nearly the same stand on one side.
    """
    parent, _ = find_version(workspace, reference)
    rows = list(stream_rows(workspace, parent))
    clusters = near_clusters(rows) if is_near else ()
    divided = split(rows, settings, clusters)
    shares = zip(PARTS, settings.shares.in_order(), strict=True)
    empty = tuple(part for part, share in shares if share > 0.0 and not divided.num_rows[part])
    report: dict[str, object] = {
        "parts": divided.num_rows,
        "empty_parts": list(empty),
        "groups": divided.num_groups,
        "rows_of_largest_group": divided.num_rows_of_largest_group,
        "straddling_groups": len(divided.conflicts),
    }
    return SplitResult(keep_version(workspace, parent, divided.rows, Operation("split", report)), divided, empty)


def fold_data(workspace: Workspace, reference: str, num_folds: int, group_by: str = "") -> list[StoredVersion]:
    """As many datasets as folds, `NAME-fold1` and so on: in each another share of the rows tests, and the others train.

    Every row tests once. Rows that are nearly the same, or of one value of the field, stay together; labels are shared
    out alike. Parts that the rows had are not kept.
    """
    parent, part = find_version(workspace, reference)
    rows = rows_of_part(list(stream_rows(workspace, parent)), part)
    held_out = folds(rows, num_folds, groups_of(rows, group_by, near_clusters(rows)))
    made = []
    for number, places in enumerate(held_out, start=1):
        tested = set(places)
        divided = (
            msgspec.structs.replace(row, part="test" if place in tested else "train") for place, row in enumerate(rows)
        )
        report: dict[str, object] = {
            "of": f"{parent.dataset}#{parent.content_hash}",
            "fold": number,
            "folds": num_folds,
            "parts": {"train": len(rows) - len(tested), "test": len(tested)},
        }
        name = f"{parent.dataset}-fold{number}"
        made.append(start_dataset(workspace, name, parent.task, divided, Operation("fold", report)))
    return made


def near_clusters(rows: Sequence[Row]) -> list[int]:
    """For each row the number of its cluster of nearly the same inputs, -1 where it stands alone."""
    return cluster_numbers(len(rows), similar_pairs([input_text(row.record) for row in rows]))
