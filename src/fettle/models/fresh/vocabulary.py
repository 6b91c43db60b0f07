"""A vocabulary learned from texts: byte-level BPE, in the form that all of Hugging Face's tools read.

Every byte is a token of its own, so there is no text that the tokenizer cannot write down and give back unchanged.
The same texts give the same file, whatever the number of threads: among pairs that are equally common the order of
their tokens decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END, PAD, TURN_START, TURN_END = "<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (END, PAD, TURN_START, TURN_END)
"""End of text, padding, and the two ends of a turn; the ids are 0 to 3."""

CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Turns between control tokens. Pre-training on documents never meets them; tuning on conversations teaches them."""

# A pair that occurs once would be learned by heart.
_LEAST_COUNT = 2


def learn_vocabulary(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of at most `size` tokens, control tokens and bytes included; fewer where no pair occurs twice.

    >>> tokenizer = learn_vocabulary(["the cat and the hat"], 262)
    >>> tokenizer.encode("the hat").tokens
    ['t', 'he', 'Ġ', 'h', 'at']
    """
    tokenizer = Tokenizer(models.BPE())
    # Digits one by one, so that numbers are read alike whatever their length; words with the blank before them.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=_LEAST_COUNT,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
