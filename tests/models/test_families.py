"""Every architecture that is read flat gives the logits and gradients of single rows through its own attention."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    Phi3Config,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    SmolLM3Config,
)

from fettle.models.attention import attention_of
from fettle.models.forward import ModelInputs, plain_head, read_hidden, read_logits
from fettle.tokens.batch import batch_examples
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import Layout, lay_out
from precision_kit import Lifted

CPU = torch.device("cpu")
VOCABULARY = 97
WINDOW = 6

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_CAUSAL: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2}
_GEMMA: dict[str, Any] = {**_CAUSAL, "head_dim": 8, "sliding_window": WINDOW, "query_pre_attn_scalar": 12}
# Caps and windows small enough to bend and to cut; two kinds of layer wherever a family has two.
CAUSAL: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": lambda: LlamaConfig(**_CAUSAL),
    "qwen2": lambda: Qwen2Config(**_CAUSAL),
    "qwen2-window": lambda: Qwen2Config(
        **_CAUSAL, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1, tie_word_embeddings=True
    ),
    "qwen3": lambda: Qwen3Config(**_CAUSAL, head_dim=8),
    "mistral": lambda: MistralConfig(**_CAUSAL, sliding_window=WINDOW),
    "gemma2": lambda: Gemma2Config(**_GEMMA, attn_logit_softcapping=1.5, final_logit_softcapping=2.0),
    "gemma3_text": lambda: Gemma3TextConfig(**_GEMMA, sliding_window_pattern=2),
    "phi3": lambda: Phi3Config(**_CAUSAL, sliding_window=WINDOW),
    "smollm3": lambda: SmolLM3Config(**_CAUSAL, no_rope_layers=[1, 0]),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=512,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        scale_attn_by_inverse_layer_idx=True,
        bos_token_id=2,
        eos_token_id=3,
    ),
}
_SILENT: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
WHOLE: dict[str, Callable[[], PretrainedConfig]] = {
    "bert": lambda: BertConfig(**_SIZES, **_SILENT),
    "roberta": lambda: RobertaConfig(**_SIZES, **_SILENT, type_vocab_size=1),
    "modernbert": lambda: ModernBertConfig(
        **_SIZES, local_attention=2 * (WINDOW - 1), global_attn_every_n_layers=2, cls_token_id=2, sep_token_id=3
    ),
}


def rows() -> list[Example]:
    """Ten rows that share beginnings one to four deep; one is a beginning of others, two are the same, one is alone."""
    draw = np.random.default_rng(7)

    def run(length: int) -> list[int]:
        return draw.integers(4, VOCABULARY, length).tolist()

    first, second, third, fourth = run(9), run(70), run(6), run(5)
    paths = [
        [*first, *second, *third, *fourth, *run(3)],
        [*first, *second, *third, *fourth, *run(12)],
        [*first, *second, *third, *run(4)],
        [*first, *second, *run(2)],
        [*first, *run(80)],
        [*first, *second, *third],
        [*first, *run(5)],
        [*first[:2], *run(7)],
        run(264),
    ]
    paths.append(paths[1])
    examples = []
    for path in paths:
        at = sorted({*draw.integers(0, len(path), 6).tolist(), len(path) - 1})
        weight = draw.uniform(0.25, 2.0, len(at)).tolist()
        examples.append(Example(np.asarray(path), TokenReads.of(at, run(len(at)), weight)))
    draw.shuffle(examples)  # type: ignore[arg-type]
    return examples


ROWS = rows()
TOKENS = torch.cat([torch.from_numpy(row.reads.token) for row in ROWS])
WEIGHTS = torch.cat([torch.from_numpy(row.reads.weight) for row in ROWS])


@dataclass(frozen=True)
class Found:
    """What a model says at the reads, and what it would learn from it."""

    values: Tensor
    gradients: dict[str, Tensor]


def open_family(config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """Random weights, none of them at a resting place: biases at 0 or norms at 1 would hide mistakes."""
    torch.manual_seed(3)
    kind = AutoModelForCausalLM if attention_of(config) == "causal" else AutoModelForMaskedLM
    network: PreTrainedModel = kind.from_config(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape), alpha=0.15)
    return network.to(dtype)


def learn(network: PreTrainedModel, values: Tensor) -> Found:
    """Logits learn the expected tokens; hidden states learn to lie along fixed directions."""
    if values.shape[-1] == VOCABULARY:
        losses = cross_entropy(values, TOKENS, reduction="none")
    else:
        losses = (values * torch.cos(torch.arange(values.numel()).view(values.shape))).sum(-1)
    (losses * WEIGHTS.to(values.dtype)).sum().backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return Found(values.detach(), gradients)


def plainly(config: PretrainedConfig, dtype: torch.dtype, part: str = "logits") -> Found:
    """One row at a time through transformers' own attention."""
    network = open_family(config, dtype)
    network.set_attn_implementation("eager")
    values = []
    for row in ROWS:
        ids = torch.from_numpy(row.ids)[None]
        whole = network(ids).logits if part == "logits" else network.base_model(ids).last_hidden_state
        values.append(whole[0, torch.from_numpy(row.reads.at)])
    return learn(network, torch.cat(values))


def read_as_learned(network: PreTrainedModel, inputs: ModelInputs) -> Tensor:
    """As objectives read: hidden states, then the head's matrix and its soft cap."""
    head = plain_head(network)
    assert head is not None
    logits_RV = read_hidden(network, inputs) @ head.weight_VD.T
    return torch.tanh(logits_RV / head.softcap) * head.softcap if head.softcap else logits_RV


def read_forest(network: PreTrainedModel, inputs: ModelInputs) -> Tensor:
    """As objectives read, or the hidden states of an encoder."""
    return read_as_learned(network, inputs) if plain_head(network) else read_hidden(network, inputs)


def flatly(config: PretrainedConfig, dtype: torch.dtype, layout: Layout) -> Found:
    """All rows in one call. The two ways to read must agree; the gradient is taken through the one that learns."""
    network = open_family(config, dtype)
    inputs = lay_out(make_batch(ROWS, layout), layout, CPU)
    logits_RV = read_as_learned(network, inputs)
    with torch.no_grad():
        assert apart(read_logits(network, inputs), logits_RV) <= 1e-5
    return learn(network, logits_RV)


# Number format, which casts are lifted, and how far two ways to the same numbers may be apart. Norms, rotary angles and
# eager attention round to float32 whatever the weights are. The casts of norms and angles are the model's own and both
# sides have them; a shared token's gradient is rounded once as a sum there and once a row here, worth up to 1e-7. The
# cast of the softmax is only in the attention that ours is compared with, worth 2e-7 by itself, so it is lifted always.
PRECISIONS: dict[str, tuple[torch.dtype, Callable[[], contextlib.AbstractContextManager[Any]], float]] = {
    "float32": (torch.float32, contextlib.nullcontext, 1e-5),
    "float64 with casts": (torch.float64, lambda: Lifted(only_softmax=True), 2e-7),
    "float64": (torch.float64, lambda: Lifted(only_softmax=False), 1e-12),
}


def apart(first: Tensor, second: Tensor) -> float:
    return float((first - second).norm() / second.norm())


def check(found: Found, wanted: Found, precision: str) -> None:
    """The bars: in float64 over all gradients at once, in float32 for each by its own length."""
    assert found.gradients.keys() == wanted.gradients.keys()
    lengths = {name: float((found.gradients[name] - wanted.gradients[name]).norm()) for name in wanted.gradients}
    whole = float(torch.cat([gradient.flatten() for gradient in wanted.gradients.values()]).norm())
    bar = PRECISIONS[precision][-1]
    assert apart(found.values, wanted.values) <= bar
    if precision == "float32":
        allowed = {name: bar * float(wanted.gradients[name].norm()) + 1e-6 * whole for name in lengths}
        assert not {name: length for name, length in lengths.items() if length > allowed[name]}
    else:
        assert float(np.linalg.norm(list(lengths.values()))) <= bar * whole


@pytest.fixture(scope="module")
def remembered() -> dict[tuple[str, str], Found]:
    """The plain results, which two layouts are measured against."""
    return {}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", CAUSAL)
@pytest.mark.parametrize("layout", ["tree", "packed"])
def test_a_causal_family_equals_its_rows_one_at_a_time(
    family: str, precision: str, layout: Layout, remembered: dict[tuple[str, str], Found]
) -> None:
    config = CAUSAL[family]()
    assert attention_of(config) == "causal"
    dtype, context, _ = PRECISIONS[precision]
    with context():
        wanted = remembered.setdefault((family, precision), plainly(config, dtype))
        found = flatly(config, dtype, layout)
    check(found, wanted, precision)


@pytest.mark.parametrize("layout", ["tree", "packed"])
@pytest.mark.parametrize("family", CAUSAL)
def test_another_packing_is_the_same(family: str, layout: Layout) -> None:
    """Other neighbours, other calls: three rows a call, from the last to the first."""
    wanted = flatly(CAUSAL[family](), torch.float32, layout)
    network = open_family(CAUSAL[family](), torch.float32)
    edges = np.cumsum([0, *(len(row.reads) for row in ROWS)])
    parts = [list(range(len(ROWS)))[::-1][first : first + 3] for first in range(0, len(ROWS), 3)]
    found = []
    for part in parts:
        inputs = lay_out(make_batch([ROWS[number] for number in part], layout), layout, CPU)
        found.append(read_forest(network, inputs))
    places = torch.cat([torch.arange(edges[number], edges[number + 1]) for part in parts for number in part])
    check(learn(network, torch.cat(found)[places.argsort()]), wanted, "float32")


@pytest.mark.parametrize(
    ("family", "layout"),
    [*((family, layout) for family in CAUSAL for layout in ("tree", "packed")), *((name, "packed") for name in WHOLE)],
)
def test_other_tokens_in_one_row_change_no_bit_of_any_other_and_get_no_gradient_from_it(
    family: str, layout: Layout
) -> None:
    is_causal = family in CAUSAL
    network = open_family((CAUSAL if is_causal else WHOLE)[family](), torch.float32)
    embedded: list[Tensor] = []
    network.get_input_embeddings().register_forward_hook(lambda *given: embedded.append(given[-1]))
    batch = make_batch(ROWS, layout)
    parents = {node.parent for node in batch.nodes}
    readers = {index: set(batch.reads.row[batch.reads.node == index]) for index in range(len(batch.nodes))}
    ends = [index for index, rows in readers.items() if index not in parents and len(rows) == 1]
    assert len(ends) >= 6
    inputs = lay_out(batch, layout, CPU, is_causal=is_causal)
    before = read_forest(network, inputs)
    pull = torch.cos(torch.arange(before.numel()).view(before.shape))
    for end in ends:
        node = batch.nodes[end]
        changed = replace(node, ids=4 + (node.ids - 3) % (VOCABULARY - 4))
        nodes = (*batch.nodes[:end], changed, *batch.nodes[end + 1 :])
        others = lay_out(replace(batch, nodes=nodes), layout, CPU, is_causal=is_causal)
        own_T = (others.ids_BT != inputs.ids_BT)[0]
        assert int(own_T.sum()) == len(node.ids)
        with torch.no_grad():
            after = read_forest(network, others)
        is_others_R = torch.from_numpy(~np.isin(batch.reads.row, list(readers[end])))
        assert torch.equal(after[is_others_R], before[is_others_R])
        assert not torch.equal(after[~is_others_R], before[~is_others_R])
        for is_read_R, reaches in ((is_others_R, False), (~is_others_R, True)):
            [gradient] = torch.autograd.grad((before * pull)[is_read_R].sum(), embedded[0], retain_graph=True)
            assert bool(gradient[0, own_T].any()) is reaches


def test_a_head_that_does_more_than_one_product_projects_by_itself() -> None:
    network = open_family(CAUSAL["llama"](), torch.float32)
    network.lm_head = torch.nn.Linear(32, VOCABULARY, bias=True)
    assert plain_head(network) is None
    inputs = lay_out(make_batch(ROWS, "tree"), "tree", CPU)
    with torch.no_grad():
        wanted = network.lm_head(read_hidden(network, inputs))
        assert apart(read_logits(network, inputs), wanted) <= 1e-5


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", WHOLE)
def test_an_encoder_equals_its_rows_one_at_a_time(family: str, precision: str) -> None:
    config = WHOLE[family]()
    assert attention_of(config) == "bidirectional"
    dtype, context, _ = PRECISIONS[precision]
    with context():
        wanted = plainly(config, dtype, "hidden")
        network = open_family(config, dtype)
        inputs = lay_out(batch_examples(ROWS), "packed", CPU, is_causal=False)
        found = learn(network, read_hidden(network, inputs))
    check(found, wanted, precision)


@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize("family", WHOLE)
def test_the_head_of_an_encoder_is_read_where_it_is_asked(family: str, layout: Layout) -> None:
    config = WHOLE[family]()
    network = open_family(config, torch.float32).eval()
    assert plain_head(network) is None
    with torch.no_grad():
        found = read_logits(network, lay_out(batch_examples(ROWS), layout, CPU, config.pad_token_id, is_causal=False))
    wanted = plainly(config, torch.float32).values
    assert found.shape == wanted.shape
    assert apart(found, wanted) <= 1e-5


@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_class_of_a_row_is_read_at_its_first_token(family: str, layout: Layout) -> None:
    config = WHOLE[family]()
    config.num_labels = 5
    torch.manual_seed(4)
    network = AutoModelForSequenceClassification.from_config(config).eval()
    read_at_first = [replace(row, reads=TokenReads.of([0], [0], [1.0])) for row in ROWS]
    inputs = lay_out(batch_examples(read_at_first), layout, CPU, config.pad_token_id, is_causal=False)
    with torch.no_grad():
        found = read_logits(network, inputs)
        network.set_attn_implementation("eager")
        wanted = torch.cat([network(torch.from_numpy(row.ids)[None]).logits for row in ROWS])
    assert found.shape == (len(ROWS), 5)
    assert apart(found, wanted) <= 1e-5


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_attention_that_drops_is_attention_that_does_not_where_nothing_falls(family: str) -> None:
    """So small a rate drops nothing, but goes through the path on which scores could fall."""
    without = flatly(CAUSAL[family](), torch.float64, "packed")
    config = CAUSAL[family]()
    config.attention_dropout = 1e-14
    network = open_family(config, torch.float64).train()
    dropped = learn(network, read_as_learned(network, lay_out(batch_examples(ROWS), "packed", CPU)))
    check(dropped, without, "float64")


def test_what_falls_is_drawn_from_the_seed() -> None:
    config = CAUSAL["llama"]()
    config.attention_dropout = 0.3
    network = open_family(config, torch.float32).train()
    inputs = lay_out(batch_examples(ROWS), "packed", CPU)

    def draw(seed: int) -> Found:
        network.zero_grad()
        torch.manual_seed(seed)
        return learn(network, read_as_learned(network, inputs))

    first, again, other = draw(0), draw(0), draw(1)
    assert torch.equal(first.values, again.values)
    assert all(torch.equal(first.gradients[name], again.gradients[name]) for name in first.gradients)
    assert apart(other.values, first.values) > 1e-3
    network.eval()
    wanted = plainly(CAUSAL["llama"](), torch.float32).values
    assert apart(read_as_learned(network, inputs).detach(), wanted) <= 1e-5
