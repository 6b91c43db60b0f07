"""Open a base in memory, with fresh or stored weights and with or without an adapter. Safetensors only."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForTextEncoding,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from fettle.errors import DamagedFile, IncompatibleModel, RequestError
from fettle.models.attention import attention_of
from fettle.models.config import AdapterSettings
from fettle.models.folders.base import read_model_config
from fettle.models.folders.safety import refuse_unsafe_folder
from fettle.models.forward import reach_of
from fettle.models.head import Head
from fettle.models.layers import join_products
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.models.vectors import architecture as _known_to_auto_classes  # noqa: F401
from fettle.models.ways.principal import (
    begin_with_principal_part,
    begins_with_principal_part,
    store_for_untouched_base,
)

transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()  # which weights are missing is looked at below
_DROPOUT_NAMES = (
    *("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "embedding_dropout", "mlp_dropout", "dropout"),
)
Network = Literal["causal", "masked", "trunk"]
"""Which of a base's networks is opened: one that writes, one that fills in, or hidden states alone."""

# What an architecture that writes is called. All others read.
_WRITERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_SEED_OF_WORD_HEAD = 0  # one for all plans: what a base does must not depend on who opens it
_OPENED_BY: dict[Network, Any] = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM, "trunk": AutoModel}


@dataclass
class OpenModel:
    """A model in memory. `network` is what is run; `adapted` wraps it when it carries an adapter.

    `head` reads numbers from the hidden states of a trunk; a model that writes or fills in has none. Scores of answers
    are divided by `temperature` before they become probabilities.
    """

    network: PreTrainedModel
    tokenizer: ModelTokenizer
    adapted: PeftModel | None = None
    head: Head | None = None
    temperature: float = 1.0

    @property
    def attention(self) -> str:
        """Which attention the model has: causal, bidirectional or opaque."""
        return attention_of(self.network.config)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return torch.device(next(self.network.parameters()).device)

    @property
    def width(self) -> int:
        """Numbers that its trunk says of one token."""
        return int(self.network.config.get_text_config().hidden_size)

    @property
    def context_length(self) -> int:
        """Most tokens that its positions reach."""
        return reach_of(self.network.config)

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The weights that learn, by name, in a fixed order."""
        found = {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}
        if self.head is not None:
            found.update({f"head.{name}": weight for name, weight in self.head.named_parameters()})
        return found

    def to(self, device: torch.device) -> OpenModel:
        """The same model, its weights moved."""
        self.network.to(device)
        if self.head is not None:
            self.head.to(device)
        return self


def open_model(
    folder: Path, network: Network = "causal", *, random_seed: int | None = None, dropout: float = 0.0
) -> OpenModel:
    """Open a model folder in float32. With `random_seed` its weights are drawn afresh and none are read."""
    refuse_unsafe_folder(folder, needs_weights=random_seed is None)
    config = _open_config(folder, dropout)
    _refuse_missing_network(folder, network, config)
    tokenizer = open_tokenizer(folder)
    try:
        if random_seed is None:
            opened = _stored_network(folder, network, config)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(random_seed)
                opened = _fresh_network(network, config)
            if network == "causal" and (folder / "generation_config.json").exists():
                opened.generation_config = GenerationConfig.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as problem:
        raise DamagedFile(f"the model cannot be opened: {problem}", where=str(folder)) from None
    _drop_pooler(network, opened)
    rows = opened.get_input_embeddings().weight.shape[0]
    if rows < tokenizer.vocabulary_size:
        raise IncompatibleModel(
            f"the tokenizer has {tokenizer.vocabulary_size} tokens and the model {rows}",
            where=str(folder),
            expected="a tokenizer that belongs to the model",
        )
    return OpenModel(opened, tokenizer)


def outline_of(folder: Path, tokenizer: ModelTokenizer, network: Network) -> OpenModel:
    """The model of a folder without its numbers: for the device `meta`, where it takes neither time nor memory."""
    config = _open_config(folder, dropout=0.0)
    _refuse_missing_network(folder, network, config)
    opened = _fresh_network(network, config)
    _drop_pooler(network, opened)
    return OpenModel(opened, tokenizer)


def is_decoder(config: PretrainedConfig) -> bool:
    """Whether a base writes (its words see what is before them) or reads whole texts: by its architecture's name.

    Of one that reads with one half and writes with the other, the half that reads is taken.
    """
    if config.is_encoder_decoder:
        return False
    names = [str(name) for name in getattr(config, "architectures", None) or ()]
    if names:
        return any(name.endswith(_WRITERS) for name in names)
    return attention_of(config) == "causal"


def trunk_of(model: OpenModel) -> OpenModel:
    """The same weights without the head that writes or fills in."""
    return OpenModel(model.network.base_model, model.tokenizer)


def lacks_word_head(folder: Path) -> bool:
    """Whether a base that fills in words stores no weight of the layers that do it, as sentence encoders do not.

    They then begin at random, the same each time; the word vectors at their end are those of the trunk.
    """
    with torch.device("meta"):
        network = _fresh_network("masked", _open_config(folder, dropout=0.0))
    trunk = {id(weight) for weight in network.base_model.parameters()}
    parts = {name.split(".")[0] for name, weight in network.named_parameters() if id(weight) not in trunk}
    return not any(name.split(".")[0] in parts for name in stored_names(folder))


def stored_names(folder: Path) -> Iterator[str]:
    """The names of all tensors of a model folder."""
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, "pt") as stored:
            yield from stored.keys()


def _opener(network: Network, config: PretrainedConfig) -> Any:
    """What opens a network; of an architecture of two halves, the one that reads is the trunk."""
    if network == "trunk" and config.is_encoder_decoder:
        return AutoModelForTextEncoding
    return _OPENED_BY[network]


def _refuse_missing_network(folder: Path, network: Network, config: PretrainedConfig) -> None:
    if type(config) not in _opener(network, config)._model_mapping:
        does = {"causal": "writes", "masked": "fills in words", "trunk": "reads by itself"}[network]
        raise IncompatibleModel(
            f"{config.model_type} has no network that {does}",
            where=str(folder),
            expected={"causal": "a decoder", "masked": "an encoder such as BERT", "trunk": "an encoder or a decoder"}[
                network
            ],
        )


def _fresh_network(network: Network, config: PretrainedConfig) -> Any:
    return _opener(network, config).from_config(config, dtype=torch.float32, trust_remote_code=False)


def _drop_pooler(network: Network, opened: Any) -> None:
    """A layer over the first token that many checkpoints lack, and no head here reads."""
    if network == "trunk" and isinstance(getattr(opened, "pooler", None), torch.nn.Module):
        opened.pooler = None


def _stored_network(folder: Path, network: Network, config: PretrainedConfig) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED_OF_WORD_HEAD)
        opened, loading = _opener(network, config).from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    missing = [name for name in loading["missing_keys"] if network != "trunk" or "pooler" not in name.split(".")]
    if network == "masked" and missing and lacks_word_head(folder):
        missing = [name for name in missing if name.startswith(f"{opened.base_model_prefix}.")]
    if missing:  # transformers would draw them at random
        raise ValueError(f"it lacks weights, such as {min(missing)}")
    return opened


def add_adapter(model: OpenModel, settings: AdapterSettings, seed: int) -> OpenModel:
    """Put fresh low-rank adapters into the model; only they learn. At the start what the model says stays as it is."""
    targets: str | list[str] = settings.targets
    if settings.targets != "all-linear":
        targets = [name.strip() for name in settings.targets.split(",")]
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.kind == "rslora",
        use_dora=settings.kind == "dora",
        target_modules=targets,
        task_type="CAUSAL_LM" if model.network.can_generate() else "FEATURE_EXTRACTION",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            with _without_noise():
                adapted = get_peft_model(model.network, lora)
        except ValueError as problem:
            others = "adapter.targets=all-linear" if settings.targets != "all-linear" else "adapter.targets with names"
            raise RequestError(
                str(problem), where="adapter.targets", attempt=f"{others}, or adapter.kind=full"
            ) from None
    if settings.kind == "pissa":
        begin_with_principal_part(adapted.get_base_model())
    join_products(adapted)
    return OpenModel(adapted.get_base_model(), model.tokenizer, adapted, model.head)


def read_adapter(model: OpenModel, folder: Path, *, is_trainable: bool = False) -> OpenModel:
    """Put a stored adapter (PEFT's files, safetensors) into the model it was trained on."""
    refuse_unsafe_folder(folder, needs_weights=True)
    stored = _weights_of_adapter(folder)
    try:
        with _without_noise():
            adapted = PeftModel.from_pretrained(model.network, folder, is_trainable=is_trainable, local_files_only=True)
        placed = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
        strays = sorted(name for name in stored ^ placed if "lora_" in name)
        if strays:  # PEFT would leave them out, or leave fresh adapters where none are stored
            raise ValueError(f"{len(strays)} weights are in one of the two only, such as {strays[0]}")
    except (RuntimeError, ValueError, OSError, KeyError) as problem:
        raise IncompatibleModel(
            f"the adapter does not fit the base: {str(problem).splitlines()[0]}",
            where=str(folder),
            expected="the base that the adapter was trained on",
        ) from None
    for name, weight in adapted.named_parameters():
        if "lora_" in name and not torch.isfinite(weight).all():
            raise DamagedFile(f"{name} holds values that are no numbers", where=str(folder))
    return OpenModel(adapted.get_base_model(), model.tokenizer, adapted, model.head)


def merge_adapter(model: OpenModel) -> OpenModel:
    """Fold the adapter into the weights of the base; what comes out is a plain model."""
    if model.adapted is None:
        return model
    merged = model.adapted.merge_and_unload(safe_merge=True)
    merged.requires_grad_(True)  # the adapter had frozen them, and the merged model may be tuned on
    return OpenModel(merged, model.tokenizer, None, model.head)


def save_adapter(model: OpenModel, folder: Path, base_name: str) -> None:
    """Write PEFT's two files. The base is named by what people call it, never by a path of this machine."""
    if model.adapted is None:
        raise IncompatibleModel("the model carries no adapter", where=str(folder))
    model.adapted.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    if begins_with_principal_part(model.network):
        store_for_untouched_base(model.network, folder)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_name
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _without_noise() -> Iterator[None]:
    """PEFT asks transformers for an attribute by its old name, of which nobody who trains need hear."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)  # PEFT mends it by itself
        warnings.filterwarnings("ignore", "Found missing adapter keys", UserWarning)  # refused, with its own words
        yield


def _weights_of_adapter(folder: Path) -> set[str]:
    path = folder / "adapter_model.safetensors"
    if not path.is_file():  # PEFT would go on to look for a pickled file
        raise DamagedFile("the adapter has no weights", where=str(folder), expected=path.name)
    try:
        with safe_open(path, "pt") as stored:
            return set(stored.keys())
    except (SafetensorError, OSError) as problem:
        raise DamagedFile(f"the adapter cannot be read: {problem}", where=str(path)) from None


def _open_config(folder: Path, dropout: float) -> PretrainedConfig:
    document = read_model_config(folder)
    model_type = document.get("model_type")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, OSError, KeyError) as problem:
        raise IncompatibleModel(
            f"transformers knows no architecture {model_type!r}",
            where=str(folder),
            expected=str(problem).splitlines()[0],
        ) from None
    names = [name for name in _DROPOUT_NAMES if isinstance(getattr(config, name, None), float)]
    if dropout > 0 and not names:
        raise RequestError(
            f"{model_type} has no dropout to set",
            where="training.dropout",
            attempt="adapter.dropout, with adapter.kind=lora",
        )
    for name in names:  # also where it is 0: many encoders bring a tenth of their own
        setattr(config, name, dropout)
    return config
