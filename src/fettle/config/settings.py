"""The one base class of every settings type.

Each field is explained by the docstring under it; that line is the only source for help, docs and labels.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, unknown keys refused, field docs kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
