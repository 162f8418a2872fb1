"""Look-alikes of OpenAI that people use, as data: where they are and what they want otherwise.

A preset only fills in a provider's kind, address and options when it is added; afterwards the
provider's own row counts. `docs/presets.md` tells what each one changes, and a test keeps that page
true. What is not certain from a server's own documentation or its error messages is not here: a
field that is dropped without need is lost to callers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from torana.errors import InvalidRequest
from torana.providers.options import ProviderOptions

_THOUGHTS = (
    "messages[].reasoning_content",
    "messages[].reasoning_details",
)
"""What look-alikes show of a model's thinking, and what servers that check fields refuse to read
again in the next turn."""
_LIMIT = (("max_completion_tokens", "max_tokens"),)
"""For servers that know the limit of output by its older name only, or may."""
_OPENAI_ONLY = ("metadata", "safety_identifier", "store", "verbosity", "web_search_options")
_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}")


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a server before it is added.

    Attributes:
        name: for `--preset`.
        title: for people.
        kind: of the provider, one of `torana.providers.KINDS`.
        base_url: with placeholders such as `{resource}`.
        needs_key: it serves nobody without one.
        options: see `ProviderOptions`; query parameters may have placeholders too.
        variables: the placeholders, with a value to use when none is given; None must be given.
        quirks: what is peculiar about it, one sentence each.
    """

    name: str
    title: str
    base_url: str
    kind: str = "compatible"
    needs_key: bool = True
    options: ProviderOptions = ProviderOptions()
    variables: Mapping[str, str | None] = MappingProxyType({})
    quirks: tuple[str, ...] = ()


_ALL = (
    Preset(
        name="azure",
        title="Azure OpenAI (v1 API)",
        kind="openai",
        base_url="https://{resource}.openai.azure.com/openai/v1",
        options=ProviderOptions(key_header="api-key"),
        variables=MappingProxyType({"resource": None}),
        quirks=(
            "The model is the name of a deployment.",
            "A stream begins with a chunk without choices that tells the filters' findings.",
        ),
    ),
    Preset(
        name="azure-classic",
        title="Azure OpenAI (dated API, deployment in the path)",
        base_url="https://{resource}.openai.azure.com",
        options=ProviderOptions(
            key_header="api-key",
            query=(("api-version", "{api_version}"),),
            path="/openai/deployments/{model}{path}",
            models_path="/openai/models",
            max_output_field="max_completion_tokens",
            dropped=("messages[].reasoning", *_THOUGHTS),
        ),
        variables=MappingProxyType({"resource": None, "api_version": "2024-10-21"}),
        quirks=(
            "The model is the name of a deployment, and stands in the path.",
            "Every request names the version of the API by its date.",
        ),
    ),
    Preset(
        name="gemini",
        title="Google Gemini (OpenAI-compatible endpoint)",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        options=ProviderOptions(
            dropped=(
                *_OPENAI_ONLY,
                "frequency_penalty",
                "logit_bias",
                "prompt_cache_key",
                "seed",
                *_THOUGHTS,
            ),
        ),
        quirks=(
            "Unknown fields are refused.",
            "An error may come inside a JSON array, and tells in its details when to come back.",
            "`completion_tokens` leaves the thinking out; `total_tokens` has it.",
            "A stream may end without `[DONE]`.",
        ),
    ),
    Preset(
        name="mistral",
        title="Mistral AI",
        base_url="https://api.mistral.ai/v1",
        options=ProviderOptions(
            max_output_field="max_tokens",
            asks_usage=False,
            developer_role="system",
            renamed=(*_LIMIT, ("seed", "random_seed")),
            dropped=(
                *_OPENAI_ONLY,
                "logit_bias",
                "logprobs",
                "prompt_cache_key",
                "top_logprobs",
                "user",
                "messages[].name",
                "messages[].reasoning",
                *_THOUGHTS,
            ),
        ),
        quirks=(
            "Unknown fields are refused, with the list of them under `detail` or `message`.",
            "A stream tells its usage unasked, in the chunk with the reason to finish.",
            "The limit of output and the seed have names of their own.",
        ),
    ),
    Preset(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        options=ProviderOptions(
            dropped=(
                "logit_bias",
                "logprobs",
                "top_logprobs",
                "messages[].name",
                *_THOUGHTS,
            ),
        ),
        quirks=(
            "`logprobs`, `logit_bias`, `top_logprobs` and names of messages are refused.",
            "So is more than one choice.",
            "A stream tells its usage a second time under `x_groq`.",
        ),
    ),
    Preset(
        name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        options=ProviderOptions(
            max_output_field="max_tokens",
            developer_role="system",
            renamed=_LIMIT,
        ),
        quirks=(
            "What was read from its cache is `prompt_cache_hit_tokens`.",
            "A waiting request is kept alive by comments in a stream, by empty lines before JSON.",
            "An empty account is a 402.",
        ),
    ),
    Preset(
        name="together",
        title="Together AI",
        base_url="https://api.together.xyz/v1",
        options=ProviderOptions(max_output_field="max_tokens", renamed=_LIMIT),
        quirks=(
            "Names of models have a slash.",
            "A reply that ends by itself may say `eos`.",
            "The list of models is a JSON array.",
        ),
    ),
    Preset(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        options=ProviderOptions(key_path="/key", max_output_field="max_tokens", renamed=_LIMIT),
        quirks=(
            "Names of models have a slash.",
            "Comments keep a stream alive while a model is looked for.",
            "An error may come with status 200.",
            "In the middle of a stream it is a chunk whose reason to finish is `error`.",
            "Anybody may list the models; the key is checked by another path.",
        ),
    ),
    Preset(
        name="fireworks",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        options=ProviderOptions(max_output_field="max_tokens", renamed=_LIMIT),
        quirks=(
            "Names of models are paths (`accounts/fireworks/models/...`).",
            "A stream tells its usage in the chunk with the reason to finish.",
        ),
    ),
    Preset(
        name="xai",
        title="xAI",
        base_url="https://api.x.ai/v1",
        quirks=(
            "`completion_tokens` leaves the reasoning out; `total_tokens` has it.",
            "An error is a text beside a `code`.",
        ),
    ),
    Preset(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434/v1",
        needs_key=False,
        options=ProviderOptions(max_output_field="max_tokens", renamed=_LIMIT),
        quirks=(
            "The limit of output is known by its older name only; the newer one is ignored.",
            "A stream tells its usage only when it is asked for.",
            "An error may be a text.",
        ),
    ),
    Preset(
        name="vllm",
        title="vLLM",
        base_url="http://127.0.0.1:8000/v1",
        needs_key=False,
        quirks=(
            "Names of models have a slash, as on the hub that they come from.",
            'An error of older versions is flat: `{"object": "error", "message": ...}`.',
        ),
    ),
    Preset(
        name="llama-cpp",
        title="llama.cpp server",
        base_url="http://127.0.0.1:8080/v1",
        needs_key=False,
        options=ProviderOptions(
            max_output_field="max_tokens",
            renamed=_LIMIT,
            keeps_alive=False,
        ),
        quirks=(
            "It promises to keep connections and closes them after a stream.",
            "While it loads its model it answers 503.",
            "Its port is the one that Torana itself has by default.",
        ),
    ),
    Preset(
        name="lm-studio",
        title="LM Studio",
        base_url="http://127.0.0.1:1234/v1",
        needs_key=False,
        options=ProviderOptions(max_output_field="max_tokens", renamed=_LIMIT),
        quirks=(
            "An error may be a text.",
            "A path that it does not know is answered with status 200 and an error.",
        ),
    ),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""Every preset by its name."""


def fill(
    preset: Preset, base_url: str | None = None, **variables: str
) -> tuple[str, ProviderOptions]:
    """The address and the options of a provider that is added by a preset.

    Args:
        preset: of `PRESETS`.
        base_url: in place of the preset's; its placeholders are then not needed.
        variables: values of the placeholders.

    Raises:
        InvalidRequest: a value is missing, unknown or no part of an address; `param` names it.
    """
    for name in variables:
        if name not in preset.variables:
            raise InvalidRequest(
                f"The preset {preset.name!r} has no {name!r}.",
                hint=_known(preset),
                param=name,
            )
    address = base_url if base_url is not None else preset.base_url
    query = tuple((name, _filled(preset, value, variables)) for name, value in preset.options.query)
    options = msgspec.structs.replace(preset.options, query=query)
    return _filled(preset, address, variables), options


def _known(preset: Preset) -> str:
    names = ", ".join(preset.variables)
    return f"It knows: {names}." if names else "It needs none."


def _filled(preset: Preset, text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        given = variables.get(name) or preset.variables.get(name)
        if given is None:
            raise InvalidRequest(
                f"The preset {preset.name!r} needs {name!r}.",
                hint="Give it, or the whole base URL.",
                param=name,
            )
        if not _VALUE.fullmatch(given):
            raise InvalidRequest(f"{name!r} must be letters, digits, dots and hyphens.", param=name)
        return given

    return _VARIABLE.sub(value, text)
