"""Values of the management API: money as exact strings, time as RFC 3339, lists as cursor pages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, PlainSerializer

from torana.core.clock import isoformat

Instant = Annotated[
    datetime,
    PlainSerializer(isoformat, return_type=str, when_used="json"),
]
Cursor = Annotated[
    str | None, Field(description="`next_cursor` of the page before; absent for the first page.")
]
REPORT_SECONDS = 20.0
"""How long a report may take; other requests have the database's usual patience."""
Limit = Annotated[int, Field(ge=1, le=200, description="Most rows of a page.")]


class Scope(BaseModel):
    """A named thing by its id."""

    id: str
    name: str
