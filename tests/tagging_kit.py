"""Tokenizers of the sorts that there are, small enough to train in a moment, and texts that are hard on them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CONTROLS = ["[UNK]", "[CLS]", "[SEP]"]
# What is not in the sentences is unknown to all but the byte-level ones.
WRITTEN = (
    "please cancel the order, the parcel is on its way",
    "where is my parcel and when will it arrive? the card was charged twice",
    "Ada Byron-King wrote to Mr. O'Hara, 東京 2024",
)


def word_pieces(max_characters: int = 100) -> Tokenizer:
    """As BERT has them: lower case, accents and controls dropped, [UNK] for a whole word."""
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=max_characters))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.train_from_iterator(WRITTEN, trainers.WordPieceTrainer(vocab_size=150, special_tokens=CONTROLS))
    return inner


def byte_pairs(trim_offsets: bool) -> Tokenizer:
    """As Llama has them: a token of a word has the blank before it, and a character may be several tokens."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=trim_offsets)
    inner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator(
        WRITTEN, trainers.BpeTrainer(vocab_size=400, special_tokens=CONTROLS, initial_alphabet=alphabet)
    )
    return inner


def pieces_with_blanks() -> Tokenizer:
    """As SentencePiece has them: NFKC, a mark for each blank and one before the text, unknown characters as one."""
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    inner.train_from_iterator(
        WRITTEN, trainers.UnigramTrainer(vocab_size=150, special_tokens=CONTROLS, unk_token="[UNK]")
    )
    return inner


def known_letters() -> Tokenizer:
    """Pairs of known letters without a token for the unknown: other characters are dropped. Tokens may span words."""
    inner = Tokenizer(models.BPE())
    inner.normalizer = normalizers.NFD()
    inner.train_from_iterator(WRITTEN, trainers.BpeTrainer(vocab_size=300, special_tokens=CONTROLS))
    return inner


SORTS: dict[str, Callable[[], Tokenizer]] = {
    "word pieces": word_pieces,
    "short word pieces": lambda: word_pieces(5),
    "byte pairs": lambda: byte_pairs(True),
    "byte pairs with their blanks": lambda: byte_pairs(False),
    "pieces with blanks": pieces_with_blanks,
    "known letters": known_letters,
}


def wrapped(inner: Tokenizer) -> PreTrainedTokenizerFast:
    """A tokenizer as models bring it."""
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", eos_token="[SEP]"
    )


PARTS = [
    *("Ada", "Byron", "order", " ", "  ", "\n", ".", "-", "'s", "O'Hara", "[CLS]", "_"),
    *("ﬁsh", "Ｒome", "İzmir", "ß", "½", "𝒳", "e\u0301", "\u0301", "\u200b", "\u200d", "\u00ad", "\ufeff", "\x00"),
    *("東京", "หมู่บ้าน", "हिन्दी", "می\u200cخواهم", "\U0001f469\u200d\U0001f467"),
]
texts = st.lists(st.sampled_from(PARTS) | st.text(st.characters(codec="utf-8"), max_size=3), max_size=9).map("".join)
