"""What may be said of a provider: its name, its URL, its options, its keys. Checked, not stored."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from torana.errors import InvalidRequest
from torana.providers.options import ProviderOptions
from torana.providers.presets import PRESETS, Preset, fill

RESERVED_NAMES = ("openai", "anthropic", "local", "echo")
"""Names of the built-in providers, configured or not."""
KINDS = ("compatible", "openai", "anthropic")
"""What may be added: whose API the provider speaks."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_SECRET = re.compile(r"[\x21-\x7e]{1,4096}")
"""What a header can carry."""


def is_name(name: str) -> bool:
    """Whether an added provider can have a name."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """See whether a provider can have a name.

    Raises:
        InvalidRequest: it can't.
    """
    if not is_name(name):
        raise InvalidRequest(
            "A provider's name has up to 63 lower-case letters, digits, '-' and '_', "
            "and begins with a letter.",
            param="name",
        )


def check_keys(keys: Sequence[tuple[str, str]]) -> None:
    """See whether labels and secrets can be kept and sent; the words never repeat a secret.

    Raises:
        InvalidRequest: one can't, or two have the same label.
    """
    labels = [label for label, _ in keys]
    for label, secret in keys:
        if not _LABEL.fullmatch(label):
            raise InvalidRequest(
                "A key's label has up to 64 letters, digits, spaces and '.', '_', '@', '-', "
                "and begins with a letter or digit.",
                param="label",
            )
        if not _SECRET.fullmatch(secret):
            raise InvalidRequest(
                f"The key {label!r} is not usable: a key has 1 to 4096 printable ASCII characters "
                "without spaces.",
                param="api_key",
            )
        if labels.count(label) > 1:
            raise InvalidRequest(f"Two keys have the label {label!r}.", param="label")


class ProviderTerms(msgspec.Struct, frozen=True):
    """What is to be stored of a provider."""

    kind: str
    base_url: str
    options: ProviderOptions


def read_terms(
    kind: str | None,
    preset: str | None,
    base_url: str | None,
    variables: Mapping[str, str],
    options: ProviderOptions | Mapping[str, Any],
) -> ProviderTerms:
    """What is said, laid over what the preset says; see `torana.admin.providers.add_provider`.

    Raises:
        InvalidRequest: the kind, the preset, a variable, the URL or an option is not usable.
    """
    known: dict[str, Any] = {}
    if preset is not None:
        found = preset_of(preset)
        _check_variables(found, variables)
        base_url, filled = fill(found, base_url, **variables)
        kind = kind or found.kind
        known = write_options(filled)
    elif variables:
        raise InvalidRequest("Only a preset has variables.", param="variables")
    kind = kind or "compatible"
    if kind not in KINDS:
        raise InvalidRequest(f"A provider is of one of the kinds {', '.join(KINDS)}.", param="kind")
    if base_url is None:
        raise InvalidRequest("Say the base URL, or a preset that knows it.", param="base_url")
    given: dict[str, Any] = msgspec.to_builtins(options)
    return ProviderTerms(kind, checked_url(base_url), read_options(known | given))


def preset_of(name: str) -> Preset:
    """A preset by its name.

    Raises:
        InvalidRequest: there is none.
    """
    found = PRESETS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, PRESETS, 1)
        raise InvalidRequest(
            f"There is no preset {name[:64]!r}; there are {', '.join(PRESETS)}.",
            hint=f"Did you mean {near[0]!r}?" if near else None,
            param="preset",
        )
    return found


def _check_variables(preset: Preset, variables: Mapping[str, str]) -> None:
    for name in variables:
        if name not in preset.variables:
            raise InvalidRequest(
                f"The preset {preset.name!r} has no variable {name[:64]!r}.",
                hint=f"It has {', '.join(preset.variables) or 'none'}.",
                param="variables",
            )


def read_options(options: ProviderOptions | Mapping[str, Any]) -> ProviderOptions:
    """Options as they are written by people.

    Raises:
        InvalidRequest: there is no such option, or its value is of another type.
    """
    if isinstance(options, ProviderOptions):
        return options
    unknown = sorted(set(options) - set(ProviderOptions.__struct_fields__))
    if unknown:
        raise InvalidRequest(
            f"There is no option {unknown[0][:64]!r}; there are "
            f"{', '.join(ProviderOptions.__struct_fields__)}.",
            param="options",
        )
    try:
        return msgspec.convert(dict(options), ProviderOptions)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The options are not usable: {error}.", param="options") from None


def write_options(options: ProviderOptions) -> dict[str, Any]:
    """Options as a row holds them."""
    written: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(options))
    return written


def checked_url(text: str) -> str:
    """A base URL as it is stored. Whether its address is allowed is another question.

    Raises:
        InvalidRequest: it is not one.
    """
    if not _is_base_url(text):
        raise InvalidRequest(
            "A base URL looks like https://host/v1, without credentials, query and fragment.",
            param="base_url",
        )
    return text.rstrip("/")


def _is_base_url(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and port != 0
        and "@" not in parts.netloc
        and not parts.query
        and not parts.fragment
    )
