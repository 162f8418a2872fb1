"""What a provider is made of: its configuration, and the ids that its answers tell."""

from __future__ import annotations

import pytest

from torana.providers import Credential
from torana.providers.base import ProviderConfig, provider_request_id

CONFIG = ProviderConfig(
    name="fake",
    kind="compatible",
    base_url="https://x/v1",
    keys=(Credential(id="k", secret="sk-s3cret"),),
)


@pytest.mark.parametrize(
    ("headers", "identifier"),
    [
        ({}, None),
        ({"x-request-id": ""}, None),
        ({"x-request-id": "a", "request-id": "b"}, "a"),
        ({"request-id": "b"}, "b"),
        ({"x-request-id": "x" * 500}, "x" * 200),
    ],
)
def test_a_providers_own_id_of_the_call_is_kept(headers, identifier):
    assert provider_request_id(headers) == identifier


def test_a_configuration_does_not_show_its_key():
    assert "s3cret" not in repr(CONFIG)
    assert "s3cret" not in str([CONFIG])
