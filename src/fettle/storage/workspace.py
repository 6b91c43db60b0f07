"""The workspace: one folder, `.fettle` in the present folder or the one that FETTLE_HOME names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fettle.errors import RequestError
from fettle.storage.blobs import BlobStore
from fettle.storage.catalogue import Catalogue
from fettle.storage.publish import make_folders, sweep_partials


@dataclass(frozen=True)
class Workspace:
    """The places of a workspace. Runs and bundles are folders of that name; data lies in blobs."""

    root: Path
    catalogue: Catalogue
    blobs: BlobStore

    @property
    def runs(self) -> Path:
        """Where each run has its folder."""
        return self.root / "runs"

    @property
    def bundles(self) -> Path:
        """Where each bundle has its folder."""
        return self.root / "bundles"

    @property
    def bases(self) -> Path:
        """Where each base that was made from rows has its folder."""
        return self.root / "bases"

    def quarantine(self, dataset: str, content_hash: str) -> Path:
        """Where the refused rows of one import lie, beside the version that it made."""
        return self.root / "datasets" / dataset / content_hash[:12] / "quarantine"


def open_workspace(root: Path | None = None) -> Workspace:
    """Open the workspace, making it when it is not there."""
    folder = root or Path(os.environ.get("FETTLE_HOME") or ".fettle")
    try:
        for inner in ("runs", "bundles", "bases", "blobs"):
            make_folders(folder / inner)
            sweep_partials(folder / inner)
    except OSError as problem:
        raise RequestError(
            f"the workspace cannot be made: {problem.strerror}",
            where=str(folder),
            expected="a folder that can be written",
            attempt="FETTLE_HOME=/some/folder fettle …",
        ) from None
    folder = folder.resolve()
    return Workspace(folder, Catalogue(folder / "catalogue.sqlite"), BlobStore(folder / "blobs"))
