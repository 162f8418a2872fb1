"""The dialects by the names that these tests have for them."""

from __future__ import annotations

from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import ChatDialect, Dialect
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.dialects.openai_responses import OPENAI_RESPONSES

DIALECTS: dict[str, Dialect] = {
    "chat": OPENAI_CHAT,
    "messages": ANTHROPIC,
    "responses": OPENAI_RESPONSES,
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
}
CHAT_DIALECTS: dict[str, ChatDialect] = {
    name: dialect for name, dialect in DIALECTS.items() if isinstance(dialect, ChatDialect)
}
