"""The shape of a new model: a Llama of the sizes asked for, with the embeddings tied to the head."""

from __future__ import annotations

from transformers import LlamaConfig

from fettle.models.config import ShapeSettings

_INNER_MULTIPLE = 64


def llama_config(shape: ShapeSettings, num_tokens: int, end_id: int, pad_id: int) -> LlamaConfig:
    """The configuration of the model; `num_tokens` is the size of the vocabulary that there is."""
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=num_tokens,
        hidden_size=shape.width,
        intermediate_size=inner_width(shape),
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads or shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end_id,
        pad_token_id=pad_id,
    )


def inner_width(shape: ShapeSettings) -> int:
    """Width inside the feed-forward part: as set, or 8/3 of the model's, rounded up to a multiple of 64.

    >>> inner_width(ShapeSettings(width=256))
    704
    """
    return shape.feed_forward or -(-8 * shape.width // (3 * _INNER_MULTIPLE)) * _INNER_MULTIPLE


def num_weights(config: LlamaConfig) -> int:
    """How many numbers the model learns, the tied embeddings counted once.

    >>> num_weights(llama_config(ShapeSettings(width=256, layers=6, heads=4), 8192, 0, 1))
    6917376
    """
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    attention = 2 * width * width + 2 * width * head * config.num_key_value_heads
    layer = attention + 3 * width * config.intermediate_size + 2 * width
    return int(config.vocab_size * width + config.num_hidden_layers * layer + width)
