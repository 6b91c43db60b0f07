"""Texts with labels: one, several, or an object of targets, each with its own."""

from __future__ import annotations

from fettle.data.dialects.protocol import Dialect, Fields, kind, label_of, list_of, present, text_of, unpacked
from fettle.data.dialects.turns import read_turns
from fettle.data.records import BadRecord, LabelledText, MultiLabelledText, Record


def _parse_labelled(fields: Fields) -> Record:
    """Read text and label; the label becomes a string, however it was written.

    >>> LABELLED.parse({"text": "fine", "label": 1}).label
    '1'
    """
    return LabelledText(text_of(fields, "text"), label_of(present(fields, "label")))


def _may_be_one(fields: Fields) -> bool | None:
    label = unpacked(fields.get("label"))
    return None if label is None else not isinstance(label, list | dict)


def _parse_several(fields: Fields) -> Record:
    """Read text and labels, none among them; a label that is named twice is there once.

    >>> MULTI_LABELLED.parse({"text": "late and broken", "labels": ["delay", "damage", "delay"]}).labels
    ('delay', 'damage')
    """
    text = text_of(fields, "text")
    labels = list_of(fields, "labels", "strings; an empty one where no label fits")
    return MultiLabelledText(text, _each_once(labels, "labels"))


def _are_several(fields: Fields) -> bool | None:
    labels = unpacked(fields.get("labels"))
    if labels == [] or labels is None:
        return None
    return isinstance(labels, list) and not isinstance(labels[0], list | dict)


def _parse_targets(fields: Fields) -> Record:
    """Targets by name, each with one label or several: every label becomes `name=label`.

    The text is `text`, or the turns of `messages`. To learn one target alone: --map labels.NAME=label.

    >>> TEXT_TARGETS.parse({"text": "Hi", "labels": {"tone": "kind", "topic": ["greeting"]}}).labels
    ('tone=kind', 'topic=greeting')
    """
    targets = unpacked(present(fields, "labels"))
    if not isinstance(targets, dict):
        raise BadRecord(f"labels is {kind(targets)}", expected='an object: {"tone": "kind", "topic": ["a", "b"]}')
    labels: list[object] = []
    for name, value in targets.items():
        given = _each_once(value, f"the target {name}") if isinstance(value, list) else (label_of(value, f"{name}"),)
        labels += [f"{name}={label}" for label in given]
    text = _said(fields) if "messages" in fields else text_of(fields, "text")
    return MultiLabelledText(text, _each_once(labels, "labels"))


def _are_targets(fields: Fields) -> bool:
    return isinstance(unpacked(fields.get("labels")), dict)


def _each_once(labels: list[object], said: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label_of(label, f"label {number} of {said}") for number, label in enumerate(labels, 1)))


def _said(fields: Fields) -> str:
    """Turns as one text: a turn that stands alone as it is, several each behind its role."""
    messages = read_turns(fields["messages"])
    if len(messages) == 1:
        return messages[0].content
    return "\n".join(f"{message.role}: {message.content}" for message in messages)


LABELLED = Dialect(
    name="labelled",
    task="classify",
    evidence="every text has a label",
    parse=_parse_labelled,
    required=("text", "label"),
    suits=_may_be_one,
)
MULTI_LABELLED = Dialect(
    name="multi_labelled",
    task="classify",
    evidence="every text has a list of labels",
    parse=_parse_several,
    required=("text", "labels"),
    suits=_are_several,
)
TEXT_TARGETS = Dialect(
    name="text_targets",
    task="classify",
    evidence="labels names several targets, each with a label of its own",
    parse=_parse_targets,
    required=("text", "labels"),
    suits=_are_targets,
)
CHAT_TARGETS = Dialect(
    name="chat_targets",
    task="classify",
    evidence="labels names several targets of each conversation",
    parse=_parse_targets,
    required=("messages", "labels"),
    suits=_are_targets,
)
