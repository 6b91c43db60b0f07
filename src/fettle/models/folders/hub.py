"""Fetch a model by its hub id: weights as safetensors only, never code."""

from __future__ import annotations

from pathlib import Path

from fettle.errors import MissingExtra, RequestError

try:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
except ModuleNotFoundError:
    snapshot_download = None

_WANTED = ("*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.txt")


def fetch_from_hub(model_id: str, alternatives: list[str]) -> Path:
    """The folder of a fetched model; without a network, one error that names what there is on this machine."""
    if snapshot_download is None:
        raise MissingExtra(
            "huggingface_hub is not installed", where=f"base={model_id}", attempt='pip install "fettle-llm[train]"'
        )
    try:
        return Path(snapshot_download(model_id, allow_patterns=list(_WANTED)))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as problem:
        raise RequestError(
            f"{model_id} could not be fetched ({type(problem).__name__})",
            where=f"base={model_id}",
            expected="a network that reaches the hub, or a model that is on this machine",
            attempt=f"base=bundled ({', '.join(alternatives)}), or base=/folder/of/a/model",
        ) from None
