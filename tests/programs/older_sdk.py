"""Calls with SDKs of older lines; run by their own Python, jobs on stdin and outcomes on stdout.

It imports nothing of Torana's. tests/support/environments.py says what jobs and outcomes hold.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import anthropic
import openai

Outcome = dict[str, Any]
Job = dict[str, Any]

SECONDS = 30.0
PROBLEMS = (
    *(openai.OpenAIError, anthropic.AnthropicError),
    # What the helpers raise over a stream that they don't understand.
    *(RuntimeError, AssertionError, LookupError, ValueError),
)
MOST_TURNS = 8
PROMPT = "What is the weather in Paris?"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
DESCRIPTION = "The weather in a city."


def weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: 21 degrees"


def answer_of(call: dict[str, Any]) -> str:
    """What a tool says."""
    if call["name"] != "weather":
        return f"There is no tool {call['name']}."
    return weather(**call["arguments"])


def run(job: Job) -> Outcome:
    """One job; an SDK's exception becomes a part of its outcome."""
    package = "anthropic" if job["kind"] == "anthropic-messages" else "openai"
    outcome: Outcome = {
        "sdk": f"{package} {version(package)}",
        "text": "",
        "thinking": "",
        "tool_calls": [],
        "finish": None,
        "usage": None,
        "message": None,
        "events": [],
        "turns": 0,
        "error": None,
    }
    try:
        RUNS[job["kind"], job["scenario"]](job, outcome)
    except PROBLEMS as problem:
        outcome["error"] = {
            "type": type(problem).__name__,
            "status": getattr(problem, "status_code", None),
            "message": str(problem),
            "body": getattr(problem, "body", None),
        }
    return outcome


def openai_client(job: Job) -> Any:
    """The older OpenAI client, as an application makes it."""
    return openai.OpenAI(
        base_url=f"{job['base_url']}/v1", api_key=job["key"], max_retries=0, timeout=SECONDS
    )


def anthropic_client(job: Job) -> Any:
    """The older Anthropic client; it sends its key as `X-Api-Key`."""
    return anthropic.Anthropic(
        base_url=job["base_url"], api_key=job["key"], max_retries=0, timeout=SECONDS
    )


def parsed(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A tool call of an outcome."""
    return {"id": call_id, "name": name, "arguments": json.loads(arguments or "{}")}


# --- chat completions ----------------------------------------------------------------------------


def chat_request(job: Job) -> dict[str, Any]:
    """The smallest request, and what the job says."""
    asked = {"model": job["model"], "messages": [{"role": "user", "content": PROMPT}]}
    return {**asked, **job.get("request", {})}


def take_chat(completion: Any, outcome: Outcome) -> list[dict[str, Any]]:
    """Put a chat completion into the outcome; the tool calls that it makes."""
    choice = completion.choices[0]
    calls = [
        parsed(call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    ]
    outcome["turns"] += 1
    outcome["text"] = choice.message.content or ""
    outcome["thinking"] = getattr(choice.message, "reasoning_content", None) or ""
    outcome["tool_calls"] += calls
    outcome["finish"] = choice.finish_reason
    outcome["usage"] = completion.usage.model_dump() if completion.usage else None
    outcome["message"] = completion.model_dump(mode="json")
    return calls


def chat_create(job: Job, outcome: Outcome) -> None:
    take_chat(openai_client(job).chat.completions.create(**chat_request(job)), outcome)


def chat_stream(job: Job, outcome: Outcome) -> None:
    asked = {"stream_options": {"include_usage": True}, **chat_request(job)}
    calls: dict[int, dict[str, str]] = {}
    outcome["turns"] = 1
    for chunk in openai_client(job).chat.completions.create(stream=True, **asked):
        if chunk.usage is not None:
            outcome["usage"] = chunk.usage.model_dump()
        for choice in chunk.choices:
            delta = choice.delta.model_dump(exclude_none=True)
            outcome["events"].append("+".join(delta) or "end")
            outcome["text"] += delta.get("content") or ""
            outcome["thinking"] += delta.get("reasoning_content") or ""
            outcome["finish"] = choice.finish_reason or outcome["finish"]
            for piece in choice.delta.tool_calls or ():
                call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                call["id"] = piece.id or call["id"]
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
    outcome["tool_calls"] = [
        parsed(calls[index]["id"], calls[index]["name"], calls[index]["arguments"])
        for index in sorted(calls)
    ]


def chat_helper(job: Job, outcome: Outcome) -> None:
    asked = {"stream_options": {"include_usage": True}, **chat_request(job)}
    with openai_client(job).chat.completions.stream(**asked) as stream:
        for event in stream:
            outcome["events"].append(event.type)
        take_chat(stream.get_final_completion(), outcome)


def chat_tools(job: Job, outcome: Outcome) -> None:
    client = openai_client(job)
    tool = {"name": "weather", "description": DESCRIPTION, "parameters": PARAMETERS}
    asked = {"tools": [{"type": "function", "function": tool}], **chat_request(job)}
    for _ in range(MOST_TURNS):
        completion = client.chat.completions.create(**asked)
        calls = take_chat(completion, outcome)
        if not calls:
            return
        history = [*asked["messages"], completion.choices[0].message.model_dump(exclude_none=True)]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": answer_of(call)}
            for call in calls
        ]
        asked = {**asked, "messages": [*history, *results]}


# --- responses -----------------------------------------------------------------------------------


def response_request(job: Job) -> dict[str, Any]:
    """The smallest request, and what the job says."""
    return {"model": job["model"], "input": PROMPT, **job.get("request", {})}


def take_response(response: Any, outcome: Outcome) -> list[dict[str, Any]]:
    """Put a response into the outcome; the tool calls that it makes."""
    calls = [
        parsed(item.call_id, item.name, item.arguments)
        for item in response.output
        if item.type == "function_call"
    ]
    thoughts = [item for item in response.output if item.type == "reasoning"]
    outcome["text"] = response.output_text
    outcome["thinking"] = "".join(part.text for item in thoughts for part in item.summary)
    outcome["tool_calls"] += calls
    outcome["finish"] = response.status
    outcome["usage"] = response.usage.model_dump() if response.usage else None
    outcome["message"] = response.model_dump(mode="json", warnings=False)
    return calls


def response_create(job: Job, outcome: Outcome) -> None:
    outcome["turns"] = 1
    take_response(openai_client(job).responses.create(**response_request(job)), outcome)


def response_stream(job: Job, outcome: Outcome) -> None:
    outcome["turns"] = 1
    for event in openai_client(job).responses.create(stream=True, **response_request(job)):
        outcome["events"].append(event.type)
        if event.type == "response.output_text.delta":
            outcome["text"] += event.delta
        if event.type in {"response.completed", "response.incomplete", "response.failed"}:
            streamed = outcome["text"]
            take_response(event.response, outcome)
            outcome["text"] = streamed


def response_helper(job: Job, outcome: Outcome) -> None:
    outcome["turns"] = 1
    with openai_client(job).responses.stream(**response_request(job)) as stream:
        for event in stream:
            outcome["events"].append(event.type)
        take_response(stream.get_final_response(), outcome)


def response_tools(job: Job, outcome: Outcome) -> None:
    client = openai_client(job)
    tool = {"name": "weather", "description": DESCRIPTION, "parameters": PARAMETERS}
    asked = {"tools": [{"type": "function", "strict": True, **tool}], **response_request(job)}
    if isinstance(asked["input"], str):
        asked["input"] = [{"role": "user", "content": asked["input"]}]
    for _ in range(MOST_TURNS):
        response = client.responses.create(**asked)
        outcome["turns"] += 1
        calls = take_response(response, outcome)
        if not calls:
            return
        said = [item.model_dump(exclude_none=True) for item in response.output]
        results = [
            {"type": "function_call_output", "call_id": call["id"], "output": answer_of(call)}
            for call in calls
        ]
        asked = {**asked, "input": [*asked["input"], *said, *results]}


# --- messages ------------------------------------------------------------------------------------


def message_request(job: Job) -> dict[str, Any]:
    """The smallest request, and what the job says."""
    asked = {
        "model": job["model"],
        "max_tokens": 500,
        "messages": [{"role": "user", "content": PROMPT}],
    }
    return {**asked, **job.get("request", {})}


def take_message(message: Any, outcome: Outcome) -> None:
    """Put a message into the outcome."""
    outcome["turns"] += 1
    outcome["text"] = "".join(block.text for block in message.content if block.type == "text")
    outcome["thinking"] = "".join(
        block.thinking for block in message.content if block.type == "thinking"
    )
    outcome["tool_calls"] += [
        {"id": block.id, "name": block.name, "arguments": block.input}
        for block in message.content
        if block.type == "tool_use"
    ]
    outcome["finish"] = message.stop_reason
    outcome["usage"] = message.usage.model_dump()
    outcome["message"] = message.model_dump(mode="json", warnings=False)


def message_create(job: Job, outcome: Outcome) -> None:
    take_message(anthropic_client(job).messages.create(**message_request(job)), outcome)


def message_stream(job: Job, outcome: Outcome) -> None:
    blocks: dict[int, Any] = {}
    arguments: dict[int, str] = {}
    outcome["turns"] = 1
    for event in anthropic_client(job).messages.create(stream=True, **message_request(job)):
        outcome["events"].append(event.type)
        if event.type == "content_block_start":
            blocks[event.index] = event.content_block
            arguments[event.index] = ""
        elif event.type == "content_block_delta":
            outcome["text"] += getattr(event.delta, "text", "")
            outcome["thinking"] += getattr(event.delta, "thinking", "")
            arguments[event.index] += getattr(event.delta, "partial_json", "")
        elif event.type == "message_delta":
            outcome["finish"] = event.delta.stop_reason
            outcome["usage"] = event.usage.model_dump()
    outcome["tool_calls"] = [
        parsed(block.id, block.name, arguments[index])
        for index, block in blocks.items()
        if block.type == "tool_use"
    ]


def message_helper(job: Job, outcome: Outcome) -> None:
    with anthropic_client(job).messages.stream(**message_request(job)) as stream:
        for event in stream:
            outcome["events"].append(event.type)
        take_message(stream.get_final_message(), outcome)


def message_tools(job: Job, outcome: Outcome) -> None:
    tool: Any = anthropic.beta_tool(name="weather", description=DESCRIPTION)(weather)
    asked = message_request(job)
    runner = anthropic_client(job).beta.messages.tool_runner(
        tools=[tool], max_iterations=MOST_TURNS, **asked
    )
    for message in runner:
        take_message(message, outcome)


RUNS: dict[tuple[str, str], Callable[[Job, Outcome], None]] = {
    ("openai-chat", "create"): chat_create,
    ("openai-chat", "stream"): chat_stream,
    ("openai-chat", "helper"): chat_helper,
    ("openai-chat", "tools"): chat_tools,
    ("openai-responses", "create"): response_create,
    ("openai-responses", "stream"): response_stream,
    ("openai-responses", "helper"): response_helper,
    ("openai-responses", "tools"): response_tools,
    ("anthropic-messages", "create"): message_create,
    ("anthropic-messages", "stream"): message_stream,
    ("anthropic-messages", "helper"): message_helper,
    ("anthropic-messages", "tools"): message_tools,
}


if __name__ == "__main__":
    json.dump([run(job) for job in json.load(sys.stdin)], sys.stdout)
