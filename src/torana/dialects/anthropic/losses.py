"""Names of what this dialect can't say, for the caller and for docs/translation.md.

What of a provider's reply no value can hold is not in these tables, because it is named by its
place in Anthropic's API (`content[].type=web_search_tool_result`, `stop_reason=NEW`, `event=NEW`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CALL_LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "audio": "recordings can't be heard",
        "budget_tokens": "newer models decide themselves how much to think; an effort is said",
        "citations": "a source without Anthropic's token, or of a text that is not the model's",
        "custom_tools": "a tool of free text becomes a function with one field `input`",
        "document": "documents can't be in an assistant's turn",
        "file_id": "a file that another provider keeps",
        "frequency_penalty": "no such control",
        "image": "pictures can't be in an assistant's turn or an instruction",
        "image_detail": "no such control",
        "logit_bias": "no such control",
        "logprobs": "probabilities are not told",
        "max_tokens": "more than the model can write, which it would refuse, is lowered",
        "messages[].name": "speakers have no names",
        "metadata": "no labels but the end user's name",
        "presence_penalty": "no such control",
        "prompt_cache_key": "no such control; cache marks are said",
        "reasoning_summary": "thinking is shown or not; how long its summary is can't be chosen",
        "response_format.description": "a schema's own description is said",
        "seed": "no such control",
        "service_tier": "a tier that has no counterpart",
        "stop": "stop sequences of nothing but blanks are refused",
        "strict": "the model can't be held to the tool's schema",
        "system": "an instruction in the middle, where the model takes none, is said by the user",
        "temperature": "at most 1, and none beside thinking",
        "thinking": "another vendor's, or unsigned, or not possible together with what is asked",
        "tool_call": "calls of tools are the assistant's",
        "tool_call_id": "ids are of letters, digits, `_` and `-`; others are replaced",
        "tool_result": "results of tools are the user's",
        "top_k": "none beside thinking",
        "top_p": "none beside a temperature, and near 1 beside thinking",
        "verbosity": "no such control",
    }
)
"""Of a call that is written for an Anthropic model: name, and why."""

REPLY_LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "audio": "recordings can't be said",
        "citation_spans": "a citation stands for a whole text, not for some characters of it",
        "document": "documents can't be said",
        "image": "pictures can't be said",
        "service_tier": "a tier that has no counterpart",
        "tool_result": "results can't be in an assistant's turn",
    }
)
"""Of a reply that is written for a caller of this dialect: name, and why."""

UNSAID: Mapping[str, str] = MappingProxyType(
    {
        "cache_control....": "beyond a mark for five minutes or an hour",
        "messages[]....": "a message has a role and a content",
        "messages[].content[]....": "the block has no such field, or nobody else has it",
        "messages[].content[].type=...": "a block of a tool that Anthropic runs, or a new one",
        "metadata....": "beyond the end user's name",
        "output_config....": "beyond an effort and a schema",
        "output_config.format": "another form than a schema",
        "system[]....": "a text has no such field",
        "system[].type=...": "a block that is not a text",
        "thinking....": "beyond a budget, and whether it is shown",
        "thinking.type=...": "a new way to think",
        "tool_choice....": "beyond a mode, a name, and whether tools are called one at a time",
        "tools[]....": "beyond a name, a description, a schema and strictness",
        "tools[].type=...": "a tool that Anthropic defines",
        "...": "any other field has its own name",
    }
)
"""Every name that the reader of calls can report, and why; `...` stands for what was sent."""
