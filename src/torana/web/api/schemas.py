"""Values of the management API: money as exact strings, time as RFC 3339, lists as cursor pages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, PlainSerializer

from torana.core.clock import isoformat

Instant = Annotated[
    datetime,
    PlainSerializer(isoformat, return_type=str, when_used="json"),
]
Cursor = Annotated[
    str | None, Field(description="`next_cursor` of the page before; absent for the first page.")
]
Limit = Annotated[int, Field(ge=1, le=200, description="Most rows of a page.")]
Since = Annotated[
    AwareDatetime | None, Field(description="Only what was admitted at or after this instant.")
]
Until = Annotated[
    AwareDatetime | None, Field(description="Only what was admitted before this instant.")
]


class Scope(BaseModel):
    """A named thing by its id."""

    id: str
    name: str
