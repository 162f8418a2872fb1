"""One scene for all tests of this folder, and each of them finds it whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import upstream
from tests.chaos.outages import scene
from tests.chaos.outages.scene import Scene
from tests.chaos.restartable_postgres import Server


@pytest.fixture(scope="session")
def running_scene(server: Server, chaos_folder: Path) -> Iterator[Scene]:
    """Two web servers, PostgreSQL, Redis, and a simulator whose books are of these tests alone."""
    folder = chaos_folder / "outages"
    folder.mkdir()
    with upstream.started(folder) as simulator:
        scene.begin_books(simulator)
        with scene.set_up(server, simulator, folder) as made:
            yield made


@pytest.fixture
def outages(running_scene: Scene) -> Scene:
    """The scene, quiet."""
    running_scene.begin()
    return running_scene


@pytest.fixture
def seconds(is_long: bool) -> float:
    """How long an outage lasts."""
    return 12.0 if is_long else 1.2
