"""Every row gets a part."""

from __future__ import annotations

from fettle.app.workshop.versions import Operation, find_version, keep_version, stream_rows
from fettle.data.split import PARTS, Shares, split_rows
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace


def split_data(workspace: Workspace, reference: str, shares: Shares) -> StoredVersion:
    """Give every row without a part one of train, validation and test, by hash of its content."""
    parent, _ = find_version(workspace, reference)
    divided = split_rows(list(stream_rows(workspace, parent)), shares)
    parts = {part: sum(row.part == part for row in divided) for part in PARTS}
    return keep_version(workspace, parent, divided, Operation("split", {"parts": parts}))
