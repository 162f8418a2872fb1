"""The keys of providers in the snapshot: read once, by any of the secrets, or told."""

from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr

from tests.integration.admin.configured import (
    NEW,
    OLD,
    add,
    add_route,
    configured,
    emptied,
    names,
)
from torana.admin.provider_keys import add_key, put_key, rotate_keys
from torana.admin.providers import PURPOSE
from torana.db.session import Database
from torana.errors import ModelNotFound
from torana.secret_box import SecretBox


@pytest.fixture
def clean(shared_database: Database) -> Database:
    """The module's database without providers and routes."""
    return emptied(shared_database)


def test_an_older_secret_still_reads_a_providers_key(clean):
    add(clean, "vllm", api_key="sk-theirs", key=OLD)
    (key,) = configured(clean).present().providers["vllm"].config.keys
    assert key.secret == "sk-theirs"


@pytest.mark.parametrize("secret_keys", [(SecretStr("x" * 32),), ()])
def test_a_provider_whose_key_can_not_be_read_is_left_out_and_told(clean, caplog, secret_keys):
    add(clean, "locked", api_key="sk-theirs", key=OLD)
    add(clean, "open")
    configuration = configured(clean, secret_keys=secret_keys)
    assert names(configuration) == ["open"]
    (record,) = [one for one in caplog.records if one.getMessage() == "provider.unusable"]
    assert record.levelno == logging.ERROR
    assert vars(record)["provider"] == "locked"
    assert "sk-theirs" not in str(vars(record))


def test_a_route_to_a_provider_that_was_left_out_leads_nowhere(clean):
    add(clean, "locked", api_key="sk-theirs", key=OLD)
    add_route(clean, "locked")
    configuration = configured(clean, secret_keys=(SecretStr("x" * 32),))
    with pytest.raises(ModelNotFound):
        configuration.present().catalog.targets("small")


def test_the_keys_that_can_be_read_are_used_and_the_other_is_told(clean, caplog):
    add(clean, "mixed", api_key="sk-old", key=OLD)
    lost = add_key(
        clean,
        SecretBox([SecretStr("l" * 32)], PURPOSE),
        "mixed",
        label="second",
        secret="sk-lost",
    )
    add_key(clean, SecretBox([NEW], PURPOSE), "mixed", label="third", secret="sk-new")
    configuration = configured(clean)
    keys = configuration.present().providers["mixed"].config.keys
    assert [key.secret for key in keys] == ["sk-old", "sk-new"]
    (record,) = [one for one in caplog.records if one.getMessage() == "provider.key_unusable"]
    assert (vars(record)["provider"], vars(record)["key_id"]) == ("mixed", lost.id)
    assert "sk-" not in str(vars(record))


def test_a_key_is_decrypted_once_and_a_rotation_disturbs_no_process_that_knows_it(
    clean, monkeypatch
):
    """A process that still has the old secrets alone keeps its providers when keys are rotated."""
    add(clean, "vllm", api_key="sk-theirs", key=OLD)
    opened: list[bytes] = []
    open_ = SecretBox.open

    def noted(box: SecretBox, sealed: bytes) -> str:
        opened.append(sealed)
        return open_(box, sealed)

    monkeypatch.setattr(SecretBox, "open", noted)
    configuration = configured(clean, secret_keys=(OLD,))
    provider = configuration.present().providers["vllm"]
    assert len(opened) == 1
    rotate_keys(clean, [NEW, OLD])
    opened.clear()
    assert configuration.refresh()
    assert configuration.present().providers["vllm"] is provider
    assert opened == []


def test_a_key_that_is_put_anew_is_another_for_every_process(clean):
    add(clean, "vllm", api_key="sk-one")
    configuration = configured(clean)
    (before,) = configuration.present().providers["vllm"].config.keys
    put_key(clean, SecretBox([NEW], PURPOSE), "vllm", label="first", secret="sk-two")
    configuration.refresh()
    (after,) = configuration.present().providers["vllm"].config.keys
    assert (before.secret, after.secret) == ("sk-one", "sk-two")
    assert after.id != before.id
