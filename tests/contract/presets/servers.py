"""The simulated server of each preset, with the manners of the real one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tests.contract.presets.manners import (
    USAGE,
    Server,
    commented,
    eos,
    extra_forbidden,
    filtered,
    google_error,
    mistral_error,
    openai_error,
    timed,
    twice_told,
    unknown_name,
    usage_at_the_finish,
    without_done,
)
from torana.core.usage import Usage

_OPENAI_RESETS = {
    "x_ratelimit_remaining_requests": "12",
    "x_ratelimit_reset_requests": "120ms",
    "x_ratelimit_remaining_tokens": "0",
    "x_ratelimit_reset_tokens": "1m7.5s",
}
_RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
_STRICT = frozenset({"metadata", "safety_identifier", "store", "verbosity", "web_search_options"})
_THOUGHTS = frozenset({"messages.reasoning_content", "messages.reasoning_details"})
_HIT = {**USAGE, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 3}
_HIT["prompt_tokens_details"] = {"cached_tokens": 8}

SERVERS: Mapping[str, Server] = MappingProxyType(
    {
        "azure": Server(
            model="my-deployment",
            key=("api-key", ""),
            path="/openai/v1/chat/completions",
            models_path="/openai/v1/models",
            error=lambda message: {"error": {"code": "BadRequest", "message": message}},
            limited=(429, {"retry_after_ms": "21500", "retry_after": "22"}, b"{}"),
            cooldown=21.5,
            stream=filtered,
        ),
        "azure-classic": Server(
            model="my-deployment",
            key=("api-key", ""),
            path="/openai/deployments/{model}/chat/completions",
            query="api-version=2024-10-21",
            models_path="/openai/models?api-version=2024-10-21",
            refuses=_THOUGHTS | {"messages.reasoning"},
            error=lambda message: {"error": {"code": "BadRequest", "message": message}},
            limited=(429, {"retry_after": "22"}, b"{}"),
            cooldown=22.0,
            stream=filtered,
        ),
        "gemini": Server(
            model="gemini-2.5-flash",
            path="/v1beta/openai/chat/completions",
            models_path="/v1beta/openai/models",
            refuses=_STRICT
            | _THOUGHTS
            | {"frequency_penalty", "logit_bias", "prompt_cache_key", "seed"},
            refusal=(400, unknown_name),
            error=google_error,
            limited=(429, {}, google_error("Quota exceeded", 429, _RETRY_INFO)),
            cooldown=34.0,
            stream=without_done,
            models={"object": "list", "data": [{"id": "models/a"}, {"id": "models/b"}]},
        ),
        "mistral": Server(
            model="mistral-small-latest",
            refuses=_STRICT
            | _THOUGHTS
            | {"logit_bias", "logprobs", "max_completion_tokens", "prompt_cache_key", "seed"}
            | {"stream_options", "top_logprobs", "user", "messages.name", "messages.reasoning"}
            | {"role developer"},
            refusal=(422, extra_forbidden),
            error=mistral_error,
            limited=(
                429,
                {"ratelimitbysize_remaining": "0", "ratelimitbysize_reset": "38"},
                mistral_error("Requests rate limit exceeded"),
            ),
            cooldown=38.0,
            stream=usage_at_the_finish,
            knows_newer_limit=False,
        ),
        "groq": Server(
            model="meta-llama/llama-4-scout-17b-16e-instruct",
            path="/openai/v1/chat/completions",
            models_path="/openai/v1/models",
            refuses=_THOUGHTS | {"logit_bias", "logprobs", "top_logprobs", "messages.name"},
            limited=(429, _OPENAI_RESETS, openai_error("Rate limit reached")),
            cooldown=67.5,
            stream=twice_told,
        ),
        "deepseek": Server(
            model="deepseek-chat",
            refuses=frozenset({"role developer"}),
            stream=commented(b": keep-alive"),
            usage=_HIT,
            counted=Usage(input_tokens=3, cached_tokens=8, output_tokens=7),
            knows_newer_limit=False,
            before=b"\n\n\n",
        ),
        "together": Server(
            model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
            stream=eos,
            limited=(429, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "3"}, b"{}"),
            cooldown=3.0,
            models=[{"id": "a"}, {"id": "b/c"}],
            knows_newer_limit=False,
        ),
        "openrouter": Server(
            model="google/gemini-2.5-flash",
            path="/api/v1/chat/completions",
            models_path="/api/v1/models",
            key_path="/api/v1/key",
            error=lambda message: {"error": {"code": 400, "message": message}, "user_id": "u"},
            stream=commented(b": OPENROUTER PROCESSING"),
        ),
        "fireworks": Server(
            model="accounts/fireworks/models/llama-v3p1-8b-instruct",
            path="/inference/v1/chat/completions",
            models_path="/inference/v1/models",
            stream=usage_at_the_finish,
            knows_newer_limit=False,
        ),
        "xai": Server(
            model="grok-4",
            error=lambda message: {
                "code": "Client specified an invalid argument",
                "error": message,
            },
        ),
        "ollama": Server(
            model="hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
            key=None,
            error=lambda message: {"error": message},
            limited=(503, {"retry_after": "2"}, {"error": "server busy, please try again."}),
            cooldown=2.0,
            knows_newer_limit=False,
        ),
        "vllm": Server(
            model="Qwen/Qwen2.5-0.5B-Instruct",
            key=None,
            error=lambda message: {
                "object": "error",
                "message": message,
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
        ),
        "llama-cpp": Server(
            key=None,
            error=lambda message: {"error": {"code": 400, "message": message, "type": "x"}},
            limited=(503, {"retry_after": "1"}, {"error": {"message": "Loading model"}}),
            cooldown=1.0,
            stream=timed,
            knows_newer_limit=False,
            closes=True,
        ),
        "lm-studio": Server(
            model="qwen/qwen3-4b",
            key=None,
            error=lambda message: {"error": message},
            knows_newer_limit=False,
        ),
    }
)
"""The simulated server of each preset, by its name."""
