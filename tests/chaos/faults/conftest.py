"""One scene for all tests of this folder; each uses models and aliases of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.faults import providers, scene
from tests.chaos.faults.scene import Scene
from tests.chaos.restartable_postgres import Server


@pytest.fixture(scope="session")
def running_scene(server: Server, chaos_folder: Path) -> Iterator[Scene]:
    """Two web processes, Redis, and the providers `faulty`, `steady` and `expired`."""
    folder = chaos_folder / "faults"
    folder.mkdir()
    with providers.started(folder) as running, scene.set_up(server, running, folder) as made:
        for name in ("faulty", "steady", "expired"):
            made.provider(name, name)
        yield made


@pytest.fixture
def faults(running_scene: Scene) -> Scene:
    """The scene, quiet and with an empty journal."""
    running_scene.settled()
    running_scene.providers.take()
    return running_scene
