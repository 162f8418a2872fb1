"""What holds for all unit tests: properties are judged by their truth, never by the clock."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("torana", deadline=None, max_examples=60)
settings.load_profile("torana")
