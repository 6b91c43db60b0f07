"""What is exported answers as the bundle does, in plain transformers, or is not written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import fettle.artifacts.export as export
from fettle.artifacts.export import MAX_RELATIVE_DIFFERENCE, export_hf
from fettle.errors import FettleError, RequestError
from fettle.generation.config import DecodingSettings
from fettle.generation.decoding import complete
from fettle.models.config import AdapterSettings
from fettle.models.forward import only_reading
from fettle.models.load import OpenModel, add_adapter, merge_adapter, open_model, read_adapter, save_adapter

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
TEXTS = ("where is my parcel", "please cancel the order", "Ünïcödé, 你好", "1 + 1 =")


def tuned(folder: Path, kind: str) -> OpenModel:
    """The tiny base with weights moved away from where they were, in place or by an adapter."""
    model = open_model(folder)
    if kind == "lora":
        model = add_adapter(model, AdapterSettings(rank=4), seed=0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=draw))
    return model


def prompts_of(model: OpenModel) -> list[list[int]]:
    return [model.tokenizer.encode_plain(text) for text in TEXTS]


def write(model: OpenModel) -> list[tuple[int, ...]]:
    return [one.ids for one in complete(model, prompts_of(model), DecodingSettings(max_new_tokens=8))]


def logits_of(network: object, prompt: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return network(input_ids=torch.tensor([prompt])).logits[0]


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_export_answers_as_the_model_in_plain_transformers(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    model = tuned(tiny_base, kind)
    prompts = prompts_of(model)
    with only_reading(model.network):
        before = [logits_of(model.network, prompt).clone() for prompt in prompts]
    base_logits = [logits_of(open_model(tiny_base).network, prompt) for prompt in prompts]
    template = model.tokenizer.template

    parity = export_hf(model, tmp_path / "out", prompts, write)

    network = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    largest = max(float(logits.abs().max()) for logits in before)
    for prompt, wanted, base in zip(prompts, before, base_logits, strict=True):
        apart = float((logits_of(network, prompt) - wanted).abs().max()) / largest
        assert apart <= MAX_RELATIVE_DIFFERENCE
        assert float((wanted - base).abs().max()) / largest > 1e-3, "the adapter must do something"
    assert parity.relative_difference <= MAX_RELATIVE_DIFFERENCE == 1e-5
    assert (parity.num_prompts, parity.same_answers) == (len(TEXTS), len(TEXTS))
    assert parity.num_positions == sum(map(len, prompts))
    assert 0 <= parity.kl < 1e-9
    assert tokenizer.chat_template == template
    messages = [{"role": "user", "content": TEXTS[0]}]
    assert tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    ) == model.tokenizer.render(messages, with_answer_opening=True)
    assert [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS] == prompts


def test_export_needs_nothing_but_the_folder(tiny_base: Path, tmp_path: Path) -> None:
    export_hf(tuned(tiny_base, "lora"), tmp_path / "out", [[20, 21, 22]], lambda _model: [()])

    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"} <= names
    assert not any("adapter" in name or name.endswith((".bin", ".pt", ".partial")) for name in names)
    stops = open_model(tmp_path / "out").tokenizer.stop_ids
    assert stops == open_model(tiny_base).tokenizer.stop_ids


def test_an_existing_place_is_refused_and_left_alone(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")

    with pytest.raises(RequestError):
        export_hf(tuned(tiny_base, "full"), tmp_path / "out", [[20, 21]], write)

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_what_does_not_answer_alike_is_not_published(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def merge_wrongly(model: OpenModel) -> OpenModel:
        merged = merge_adapter(model)
        with torch.no_grad():
            merged.network.model.layers[0].mlp.up_proj.weight.mul_(1.01)
        return merged

    monkeypatch.setattr(export, "merge_adapter", merge_wrongly)

    with pytest.raises(FettleError, match="differs"):
        export_hf(tuned(tiny_base, "lora"), tmp_path / "out", [[20, 21, 22]], write)

    assert list(tmp_path.iterdir()) == []


def test_answers_that_differ_are_counted(tiny_base: Path, tmp_path: Path) -> None:
    said = iter([[(1, 2), (3,)], [(1, 2), (4,)]])

    parity = export_hf(tuned(tiny_base, "full"), tmp_path / "out", [[20, 21], [22]], lambda _model: next(said))

    assert (parity.num_prompts, parity.same_answers) == (2, 1)


def test_an_adapter_is_saved_read_and_merged_without_a_difference(tiny_base: Path, tmp_path: Path) -> None:
    model = tuned(tiny_base, "lora")
    prompt = prompts_of(model)[0]
    with only_reading(model.network):
        wanted = logits_of(model.network, prompt).clone()
    save_adapter(model, tmp_path / "adapter", "tiny")

    read = read_adapter(open_model(tiny_base), tmp_path / "adapter")
    with only_reading(read.network):
        assert torch.equal(logits_of(read.network, prompt), wanted)
    merged = merge_adapter(read)
    with only_reading(merged.network):
        apart = (logits_of(merged.network, prompt) - wanted).abs().max() / wanted.abs().max()
    assert float(apart) <= 1e-5
    assert str(tiny_base) not in (tmp_path / "adapter" / "adapter_config.json").read_text()
