"""docs/bounds.md names every field, block, item, part and tool that the bounds' tables have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from torana.dialects import (
    openai_embeddings,
    openai_images,
    openai_moderations,
    rerank,
)
from torana.dialects.anthropic import rules as anthropic
from torana.dialects.openai_audio import lengths, speech, transcriptions
from torana.dialects.openai_completions import costs as completions
from torana.dialects.openai_responses import rules as responses
from torana.ledger import bounds

DOCUMENT = (Path(__file__).parents[2] / "docs" / "bounds.md").read_text(encoding="utf-8")
MESSAGES = "Messages of Anthropic"
RESPONSES = "Responses of OpenAI"
OTHERS = "Completions and embeddings of OpenAI"
MEDIA = "Images, audio, moderations and rerankings"
MEDIA_TABLES = {
    "fields of images": openai_images.FIELDS,
    "fields of image edits": openai_images.EDIT_FIELDS,
    "fields of speech": speech.FIELDS,
    "fields of transcriptions": transcriptions.FIELDS,
    "fields of translations": transcriptions.TRANSLATION_FIELDS,
    "fields of moderations": openai_moderations.FIELDS,
    "fields of rerankings": rerank.FIELDS,
}

TABLES: list[tuple[str, str, Iterable[str]]] = [
    (MESSAGES, "fields", [*anthropic.FIELDS, *anthropic.EXTENSIONS]),
    (MESSAGES, "blocks", [*anthropic.RULED_KINDS, *anthropic.UNRULED_KINDS]),
    (MESSAGES, "fields of blocks", anthropic.BLOCK_FIELDS),
    (MESSAGES, "fields of tools", anthropic.TOOL_FIELDS),
    (MESSAGES, "tools of the caller", anthropic.CLIENT_TOOLS),
    (MESSAGES, "fields of output_config", anthropic.OUTPUT_FIELDS),
    (MESSAGES, "values", [value for values in anthropic.CHEAP.values() for value in values]),
    (RESPONSES, "fields", [*responses.FIELDS, *responses.EXTENSIONS]),
    (RESPONSES, "items", responses.ITEMS),
    (RESPONSES, "parts", responses.PART_TYPES),
    (RESPONSES, "tools", [*responses.TOOL_TYPES, *responses.UNRULED_TOOLS]),
    (RESPONSES, "tiers", responses.TIERS),
    (OTHERS, "fields of completions", [*completions.FIELDS, *completions.EXTENSIONS]),
    (OTHERS, "fields of embeddings", openai_embeddings.FIELDS),
    (MEDIA, "qualities", openai_images.TOKENS_BY_QUALITY),
]


def section(title: str) -> str:
    """The text under a heading."""
    _, _, text = DOCUMENT.partition(f"\n## {title}\n")
    assert text, title
    return text.partition("\n## ")[0]


def names(text: str) -> set[str]:
    return set(re.findall(r"`([^`\s]+)`", text))


@pytest.mark.parametrize(("title", "what", "table"), TABLES, ids=lambda value: str(value)[:30])
def test_every_name_of_a_table_is_documented(title, what, table):
    assert set(table) - names(section(title)) == set(), what


def listed(text: str, column: str) -> dict[str, str]:
    """The rule of each field in the table with this column."""
    _, _, table = text.partition(f"| rule | {column} |\n|---|---|\n")
    assert table, column
    found: dict[str, str] = {}
    for line in table.partition("\n\n")[0].splitlines():
        rule, cell = line.strip("| ").split(" | ")
        # What follows a colon explains the one before it.
        for name in re.findall(r"`(\w+)`", re.sub(r": [^;]*", "", cell)):
            assert name not in found, name
            found[name] = rule
    return found


@pytest.mark.parametrize(
    ("title", "column", "table"),
    [
        (MESSAGES, "fields", anthropic.RULES),
        (RESPONSES, "fields", responses.RULES),
        (OTHERS, "fields of completions", completions.RULES),
        (OTHERS, "fields of embeddings", openai_embeddings.FIELDS),
        *((MEDIA, column, table) for column, table in MEDIA_TABLES.items()),
    ],
)
def test_a_field_is_documented_as_free_just_when_it_is(title, column, table):
    documented = listed(section(title), column)
    assert documented.keys() == table.keys()
    free = {name for name, rule in documented.items() if re.match(r"free(:|$)", rule)}
    assert free == {name for name, rule in table.items() if rule == "free"}


@pytest.mark.parametrize(
    ("title", "column", "table"),
    [
        (MESSAGES, "fields", anthropic.RULES),
        (RESPONSES, "fields", responses.RULES),
        *((MEDIA, column, table) for column, table in MEDIA_TABLES.items()),
    ],
)
def test_a_field_is_documented_as_without_a_rule_just_when_it_has_none(title, column, table):
    documented = listed(section(title), column)
    without = {name for name, rule in documented.items() if rule == "no rule"}
    assert without == {name for name, rule in table.items() if rule == "none"}


@pytest.mark.parametrize(
    "figure",
    [
        bounds.IMAGE_TOKENS,
        openai_images.PARTIAL_TOKENS,
        *openai_images.TOKENS_BY_QUALITY.values(),
        speech.TOKENS_PER_BYTE,
        transcriptions.AUDIO_TOKENS_A_SECOND,
        transcriptions.TEXT_TOKENS_A_SECOND,
        transcriptions.TEXT_TOKENS,
        lengths.SLOWEST_BYTES,
        rerank.PAIR_TOKENS,
        rerank.PIECE_TOKENS,
        rerank.LEAST_ROOM,
    ],
)
def test_every_figure_of_media_is_documented(figure):
    assert re.search(rf"(?<![\d,]){figure:,}(?!,?\d)", section(MEDIA))
