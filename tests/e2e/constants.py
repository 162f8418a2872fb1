"""What the servers of these tests are made with, and the words that must never be logged."""

from __future__ import annotations

PROMPT = "canary-prompt-c4e91a"
"""Part of every prompt."""
PROVIDER_KEY = "sk-canary-provider-key-0b51ff"
PROVIDER_WORDS = "canary-provider-words-77d2"
"""Part of what a provider says in its errors."""
METRICS_TOKEN = "canary-metrics-token-40c2"
OTHER_PROJECT = "other"
BODY_LIMIT = 1024 * 1024
INPUT_RATE = 150_000_000
OUTPUT_RATE = 600_000_000
"""Nano-dollars per million tokens of what goes to the fake: 150 and 600 nano-dollars a token."""
SDK_SECONDS = 30.0
