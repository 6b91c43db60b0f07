"""What all tests stand on: no network, one thread, a workspace of its own, and a base small enough to open anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# The hub client reads this once, when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
from hypothesis import settings

# The same examples every time: what passes here passes elsewhere.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

CONTROL_TEXTS = ("<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SENTENCES = (
    "where is my parcel and when will it arrive",
    "the card was charged twice for one order",
    "please cancel the order and send the money back",
    "hello there, how can I help you today?",
    "the answer is that the parcel is on its way",
    "order status, refund request, delivery delay, card payment",
)


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the workspace of another one, or the network."""
    monkeypatch.setenv("FETTLE_HOME", str(tmp_path_factory.mktemp("workspace")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two orders of a sum differ in their last bits; one thread has one order."""
    import torch

    torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long runs are killed: `pytest tests/journeys/test_killed_and_resumed.py --kills 50 --compiled -s`."""
    parser.addoption("--kills", type=int, default=5, help="how often runs are killed at random instants")
    parser.addoption("--compiled", action="store_true", help="kill runs whose layers are compiled")


@pytest.fixture
def never_compiled() -> Iterator[None]:
    """What one test compiled is forgotten before another one."""
    import torch

    limit = torch._dynamo.config.recompile_limit
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = limit


def write_tiny_base(folder: Path, *, seed: int = 0, template: str | None = CHAT_TEMPLATE, **shape: int) -> Path:
    """A two-layer Llama with random weights and a byte-level BPE tokenizer, in the Hugging Face layout."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=384,
            special_tokens=list(CONTROL_TEXTS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=512,
    )
    tokenizer.chat_template = template
    end, pad, _, turn_end = (inner.token_to_id(text) for text in CONTROL_TEXTS)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        **shape,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        initializer_range=0.3,  # at the usual 0.02 all logits are nearly alike, and hardly any mistake would show
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        **sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
    network.generation_config = GenerationConfig(eos_token_id=[end, turn_end], pad_token_id=pad)
    network.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base that opens in milliseconds. Read only: copy it before you change it."""
    return write_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")
