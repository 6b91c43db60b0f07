"""Tools in a conversation: as a template takes them, or as plain text where it knows none.

The plain form is the one that Hermes and Qwen models are trained on: tools as JSON lines in the system turn, a call as
JSON between <tool_call> tags, what a tool gives back in a turn of the user between <tool_response> tags.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

_TOLD = """\
You may call tools. To call one, write a JSON object with its name and its arguments between tags:
<tool_call>
{"name": NAME, "arguments": {...}}
</tool_call>
These are the tools:
"""


@dataclass(frozen=True, slots=True)
class Call:
    """An assistant's wish to have a tool run; `arguments` is a JSON object as text."""

    name: str
    arguments: str

    def as_text(self) -> str:
        """The call as a model without tools in its template writes it."""
        return f'<tool_call>\n{{"name": {_json(self.name)}, "arguments": {self.arguments}}}\n</tool_call>'

    def as_json(self) -> dict[str, object]:
        """The call in the words of templates; arguments that are no JSON stay text."""
        try:
            arguments = json.loads(self.arguments)
        except ValueError:
            arguments = self.arguments
        return {"type": "function", "function": {"name": self.name, "arguments": arguments}}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn as a template takes it; `weight` 0 is only read. `name` is that of the tool which speaks."""

    role: str
    content: str
    weight: float = 1.0
    calls: tuple[Call, ...] = ()
    name: str = ""


def said_plainly(turns: Sequence[Turn], tools: Sequence[str]) -> list[Turn]:
    """The conversation without tools: they are told, called and answered in the texts of ordinary turns.

    >>> said_plainly([Turn("tool", "7", name="add")], ())
    [Turn(role='user', content='<tool_response>\\n7\\n</tool_response>', weight=1.0, calls=(), name='')]
    """
    plain = [_plain(turn) for turn in turns]
    if tools:
        told = _TOLD + "\n".join(tools)
        if plain and plain[0].role == "system":
            plain[0] = replace(plain[0], content=f"{plain[0].content}\n\n{told}")
        else:
            plain.insert(0, Turn("system", told))
    return plain


def _plain(turn: Turn) -> Turn:
    if turn.role == "tool":
        return Turn("user", f"<tool_response>\n{turn.content}\n</tool_response>")
    if turn.calls:
        content = "\n".join(filter(None, (turn.content, *(call.as_text() for call in turn.calls))))
        return replace(turn, content=content, calls=())
    return turn


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
