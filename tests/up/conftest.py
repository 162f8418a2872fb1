"""One installation with the local model, shared by the tests that only talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import installation
from tests.support.installation import Installation
from torana.model_server import local_model_available


@pytest.fixture(scope="session")
def with_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A first start with the real model."""
    available, hint = local_model_available()
    assert available, hint
    with installation.started(tmp_path_factory.mktemp("up")) as running:
        yield running
