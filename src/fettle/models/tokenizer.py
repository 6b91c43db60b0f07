"""A model's tokenizer and chat template behind one narrow face.

Text inside a message is never read as a control token; the template's own control tokens always are. Rendering happens
in the sandbox that transformers gives its templates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fettle.errors import DamagedFile, RequestError

# For a model that brings no template. Plain words, and the model's own end-of-text token to stop at.
DEFAULT_TEMPLATE = (
    "{% for message in messages %}{{ '### ' + message['role'] + '\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}"
)
# How a tokenizer that is not byte-level writes a byte that has no token of its own.
_ONE_BYTE = re.compile("<0x[0-9A-F]{2}>")


class ModelTokenizer:
    """Text to ids and back, and conversations to the text that the model reads."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop_ids: Sequence[int]) -> None:
        self.inner = tokenizer
        self.has_own_template = tokenizer.chat_template is not None
        if not self.has_own_template:
            tokenizer.chat_template = DEFAULT_TEMPLATE
        self.stop_ids = frozenset(stop_ids)
        # A tokenizer may hold control tokens that its configuration does not name (Llama 3 has hundreds).
        added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        named = {str(text) for text in tokenizer.all_special_tokens}
        self.control_texts = tuple(sorted(added | named, key=lambda text: (-len(text), text)))
        self.pad_id: int = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(self.stop_ids, default=0)
        )
        self.end_id: int | None = tokenizer.eos_token_id
        self.mask_id: int | None = tokenizer.mask_token_id

    @property
    def template(self) -> str:
        """The chat template in use."""
        return str(self.inner.chat_template)

    @property
    def template_sha256(self) -> str:
        """The template's identity; training and serving must agree on it."""
        return hashlib.sha256(self.template.encode()).hexdigest()

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are, added ones included."""
        return len(self.inner)

    @cached_property
    def bytes_of_tokens(self) -> NDArray[np.int64]:
        """How many bytes of UTF-8 each token stands for; control tokens stand for none.

        The tokens of a byte-level tokenizer add up to the bytes of the text exactly. Others put a blank before the
        first word, which is counted as a byte.
        """
        is_fast = isinstance(self.inner, PreTrainedTokenizerFast)
        is_byte_level = is_fast and "ByteLevel" in str(self.inner.backend_tokenizer.decoder)
        vocabulary, added = self.inner.get_vocab(), self.inner.added_tokens_decoder
        sizes = np.zeros(max(vocabulary.values()) + 1, np.int64)
        for text, token in vocabulary.items():
            if token in added:
                sizes[token] = 0 if text in self.control_texts else len(text.encode())
            elif is_byte_level or _ONE_BYTE.fullmatch(text):
                sizes[token] = len(text) if is_byte_level else 1
            else:
                sizes[token] = len(text.replace("▁", " ").encode())
        return sizes

    @cached_property
    def knows_tools(self) -> bool:
        """Whether the template writes tools and calls of tools: by the names that templates have for both."""
        return "tool_calls" in self.template and re.search(r"\btools\b", self.template) is not None

    def render(
        self, messages: Sequence[Mapping[str, object]], with_answer_opening: bool, tools: Sequence[object] = ()
    ) -> str:
        """The conversation as the model reads it; with the opening of an answer when one is to follow."""
        try:
            text = self.inner.apply_chat_template(
                [dict(message) for message in messages],
                tools=list(tools) or None,
                tokenize=False,
                add_generation_prompt=with_answer_opening,
            )
        except TemplateError as problem:
            raise RequestError(
                f"the model's chat template refuses this conversation: {problem}",
                expected="turns in an order that the template knows",
            ) from None
        return str(text)

    def encode(self, text: str) -> list[int]:
        """Ids of template text: control tokens are control tokens. Nothing is added in front or behind."""
        return list(self.inner(text, add_special_tokens=False, verbose=False)["input_ids"])

    def encode_plain(self, text: str) -> list[int]:
        """Ids of a person's text: what looks like a control token is spelt out."""
        return list(self.inner(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])

    def encode_with_offsets(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids of a person's text, [N], and the characters that each stands for, [N, 2]: start, and after the end."""
        if not self.inner.is_fast:
            raise RequestError(
                "the tokenizer does not say which characters its tokens stand for",
                where="base",
                expected="a model with a tokenizer.json",
            )
        encoded = self.inner(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
        )
        offsets_N2 = np.asarray(encoded["offset_mapping"], np.int64).reshape(-1, 2)
        return np.asarray(encoded["input_ids"], np.int64), offsets_N2

    @cached_property
    def surroundings(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids that the tokenizer puts before and behind a text that is read as a whole."""
        text = self.encode_plain("a")
        whole = list(self.inner("a", verbose=False)["input_ids"])
        first = next(place for place in range(len(whole)) if whole[place : place + len(text)] == text)
        before, behind = whole[:first], whole[first + len(text) :]
        return np.asarray(before, np.int64), np.asarray(behind, np.int64)

    def encode_whole(self, text: str, most: int = 0) -> tuple[list[int], int]:
        """Ids of a text as the model reads a whole one, and how many did not fit.

        The tokens that the tokenizer puts around texts stay when `most` cuts (0: never). A text without tokens is read
        as one token that ends texts, so that there is something to read.
        """
        encoded, num_cut = self._encode_whole({"text": text}, most)
        return encoded["input_ids"] or [self.pad_id if self.end_id is None else self.end_id], num_cut

    def encode_compared(self, text: str, other: str, most: int = 0) -> tuple[list[int], list[int], int]:
        """Ids of two texts as the model reads them together, which of the two each belongs to, how many did not fit.

        Of two texts that are too long the longer one is cut. Where the tokenizer puts nothing between them, a line ends
        there.
        """
        between = "" if self._parts_texts else "\n"
        encoded, num_cut = self._encode_whole({"text": text + between, "text_pair": other}, most)
        ids = encoded["input_ids"]
        knows_kinds = "token_type_ids" in self.inner.model_input_names
        return ids, encoded["token_type_ids"] if knows_kinds else [0] * len(ids), num_cut

    @cached_property
    def _parts_texts(self) -> bool:
        """Whether the tokenizer puts more around two texts than around one."""
        two, one = (self.inner.num_special_tokens_to_add(pair=pair) for pair in (True, False))
        return int(two) > int(one)

    def _encode_whole(self, texts: dict[str, str], most: int) -> tuple[dict[str, list[int]], int]:
        options = {"split_special_tokens": True, "return_token_type_ids": True, "verbose": False}
        encoded = self.inner(**texts, **options)
        length = len(encoded["input_ids"])
        if most and length > most:
            encoded = self.inner(**texts, **options, truncation="longest_first", max_length=most)
        found = {name: list(encoded[name]) for name in ("input_ids", "token_type_ids")}
        return found, max(0, length - len(found["input_ids"]))

    def decode(self, ids: Sequence[int], with_control: bool = False) -> str:
        """Text of ids, control tokens left out unless asked for."""
        return str(
            self.inner.decode(list(ids), skip_special_tokens=not with_control, clean_up_tokenization_spaces=False)
        )

    def token_text(self, token: int) -> str:
        """One token as people can read it."""
        return str(self.inner.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def save(self, folder: Path) -> None:
        """Write tokenizer and template in the Hugging Face layout."""
        self.inner.save_pretrained(folder)


def open_tokenizer(folder: Path) -> ModelTokenizer:
    """Open the tokenizer of a model folder; find the tokens at which the model stops."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as problem:
        raise DamagedFile(
            f"the tokenizer cannot be opened: {problem}", where=str(folder), expected="tokenizer.json"
        ) from None
    return ModelTokenizer(tokenizer, _stop_ids(folder, tokenizer))


def _stop_ids(folder: Path, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    stops = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    path = folder / "generation_config.json"
    if path.exists():
        named = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") or []
        stops += [int(token) for token in ([named] if isinstance(named, int) else named)]
    return stops
