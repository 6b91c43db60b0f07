"""Models opened for a purpose: the base that a plan names, and a bundle with the base it stands on.

An earlier bundle may be a base: its own base is opened first and its adapter folded in. What a base is made of is
written down as plain data and checked when it is opened again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fettle.app.bases.made import find_made_base
from fettle.app.listing import find_bundle
from fettle.artifacts.bundle import ADAPTER, BASE, HEAD, MANIFEST, MODEL, Bundle
from fettle.errors import IncompatibleModel, MissingFile, UnknownName
from fettle.models.config import NEW_BASE
from fettle.models.folders.base import find_base, fingerprint
from fettle.models.head import HeadShape, fresh_head, open_head
from fettle.models.load import Network, OpenModel, merge_adapter, open_model, read_adapter, trunk_of
from fettle.models.machine import choose_device
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task


@dataclass(frozen=True)
class BaseSource:
    """A base that was found and not yet opened. `adapters` are folded in, in order, each into the network that it was
    trained in; `lineage` names the bundles."""

    reference: str
    kind: str
    name: str
    folder: Path
    random_seed: int | None
    prints: dict[str, str]
    adapters: tuple[tuple[Network, Path], ...] = ()
    lineage: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The base's identity, as plans and bundles keep it."""
        return {
            "reference": self.reference,
            "kind": self.kind,
            "name": self.name,
            "random_seed": self.random_seed,
            "fingerprint": self.prints,
            "lineage": list(self.lineage),
        }


def locate_base(workspace: Workspace, reference: str, seed: int) -> BaseSource:
    """Find what `base=` names: a base that was made, an earlier bundle, then all that the models room knows."""
    made = find_made_base(workspace, reference)
    if made is not None:
        return _made_source(reference, made, seed)
    is_random = reference.startswith("random:")
    bundle = find_bundle(workspace, reference.removeprefix("random:"))
    random_seed = seed if is_random else None
    if bundle is None:
        base = find_base(reference)
        name = base.folder.name if base.kind != "hub" else reference.removeprefix("random:")
        reference = reference if base.kind in ("bundled", "hub") else _absolute(reference)
        return BaseSource(reference, base.kind, name, base.folder, random_seed, fingerprint(base.folder))
    is_named = (workspace.bundles / reference.removeprefix("random:") / MANIFEST).is_file()
    reference = reference if is_named else _absolute(reference)
    if not bundle.is_adapter:
        folder = bundle.path / MODEL
        lineage = (bundle.identity, *_lineage(bundle))
        return BaseSource(reference, "bundle", bundle.name, folder, random_seed, fingerprint(folder), lineage=lineage)
    below = base_of_bundle(workspace, bundle)
    if is_random:
        return replace(below, reference=reference, random_seed=seed)
    return replace(
        below,
        reference=reference,
        kind="bundle",
        name=bundle.name,
        adapters=(*below.adapters, (network_of(bundle), bundle.path / ADAPTER)),
        lineage=(bundle.identity, *below.lineage),
    )


def open_base(source: BaseSource, network: Network = "causal", dropout: float = 0.0) -> OpenModel:
    """Open a base in memory, on the machine's device."""
    networks = [*(stored for stored, _ in source.adapters), network]
    last = source.adapters[-1][0] if source.adapters else network
    if network not in (last, "trunk"):
        raise IncompatibleModel(
            f"{source.name} has no {network} network",
            where=source.reference,
            expected=f"a base with one; its adapters belong to a {last} network",
        )
    model = open_model(source.folder, networks[0], random_seed=source.random_seed, dropout=dropout)
    for (stored, adapter), above in zip(source.adapters, networks[1:], strict=True):
        model = merge_adapter(read_adapter(model, adapter))
        if above != stored:  # only ever the trunk of it
            model = trunk_of(model)
    return model.to(choose_device())


def with_fresh_head(model: OpenModel, shape: HeadShape, seed: int) -> OpenModel:
    """The model with a head of that shape that has learned nothing yet."""
    model.head = fresh_head(shape, model.width, seed)
    return model.to(model.device)


def network_of(bundle: Bundle) -> Network:
    """Which network of its base a bundle was tuned as."""
    return open_task(str(bundle.manifest["task"])).method(str(bundle.manifest.get("method", ""))).network


def base_of_bundle(workspace: Workspace, bundle: Bundle, override: str | None = None) -> BaseSource:
    """The base that a bundle was tuned from, found again; another one is refused."""
    known: Any = bundle.part("base")
    reference = override or str(known["reference"])
    try:
        if (bundle.path / BASE).is_dir() and override is None:  # it was made here, and goes wherever the bundle goes
            source = _made_source(reference, bundle.path / BASE, known["random_seed"])
        else:
            source = locate_base(workspace, reference, known["random_seed"] or 0)
    except (UnknownName, MissingFile) as problem:
        raise MissingFile(
            f"the base of {bundle.name} is not where it was",
            where=str(known["reference"]),
            expected=f"the model {known['name']}",
            attempt="--base with the folder where it lies now",
        ) from problem
    if source.prints != known["fingerprint"] or list(source.lineage) != known["lineage"]:
        changed = [name for name in source.prints if source.prints[name] != known["fingerprint"].get(name)]
        raise IncompatibleModel(
            f"{bundle.name} belongs to another base ({', '.join(changed) or 'lineage'} differ)",
            where=reference,
            expected=f"{known['name']}, weights {known['fingerprint']['weights'][:12]}",
            attempt="--base with the folder of the right base",
        )
    return replace(source, random_seed=known["random_seed"])


def open_tuned(workspace: Workspace, bundle: Bundle, override: str | None = None) -> OpenModel:
    """Open the tuned model of a bundle, its adapter still beside the weights."""
    network = network_of(bundle)
    if bundle.is_adapter:
        model = read_adapter(open_base(base_of_bundle(workspace, bundle, override), network), bundle.path / ADAPTER)
    else:
        model = open_model(bundle.path / MODEL, network)
    if (bundle.path / HEAD).is_dir():
        model.head = open_head(bundle.path / HEAD, model.width)
    model.temperature = float(str(bundle.manifest.get("temperature", 1.0)))
    return model.to(choose_device())


def _made_source(reference: str, folder: Path, seed: int) -> BaseSource:
    kind = reference.partition(":")[0]
    return BaseSource(reference, kind, reference, folder, seed if kind == NEW_BASE else None, fingerprint(folder))


def _lineage(bundle: Bundle) -> Sequence[str]:
    lineage: Any = bundle.part("base")["lineage"]
    return list(lineage)


def _absolute(reference: str) -> str:
    prefix = "random:" if reference.startswith("random:") else ""
    path = Path(reference.removeprefix("random:")).expanduser()
    return f"{prefix}{path.resolve()}" if path.exists() else reference
