"""What is imported when: a start is quick, and a web process carries nothing it does not need."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    return set(result.stdout.split())


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.fixture(scope="module")
def web() -> set[str]:
    return modules_after("import torana.runtime")


def test_importing_the_package_imports_nothing_else():
    added = modules_after("import torana") - modules_after("pass")
    assert {name for name in added if not name.startswith("_")} == {"torana"}


@pytest.mark.parametrize("module", ["torana.core.ids", "torana.core.money", "torana.errors"])
def test_the_lowest_layer_needs_msgspec_at_the_most(module):
    third_party = tops(modules_after(f"import {module}") - modules_after("pass"))
    third_party -= set(sys.stdlib_module_names)
    assert third_party <= {"torana", "msgspec", "typing_extensions"}  # msgspec wants the last


def test_the_version_and_the_help_need_no_database():
    assert not tops(modules_after("import torana.cli.main")) & {"sqlalchemy", "psycopg", "flask"}


@pytest.mark.parametrize(
    "package",
    ["openai", "anthropic", "pandas", "numpy", "alembic", "mako", "requests", "httpx", "httpx2"],
)
def test_a_web_process_does_not_carry(web, package):
    assert package not in tops(web)


def test_a_web_process_carries_what_it_serves_with(web):
    assert {"torana.web.application", "flask", "sqlalchemy", "urllib3", "psycopg"} <= web


def test_a_web_process_does_not_carry_the_other_processes(web):
    assert not {name for name in web if name.startswith(("torana.cli", "torana.processes"))}


def test_the_master_of_the_web_processes_imports_nothing_that_gevent_patches_late():
    # The workers are forked from it and patched afterwards: what it has imported stays unpatched.
    master = modules_after("import torana.app")
    assert not {"torana.runtime", "flask", "sqlalchemy", "urllib3", "psycopg"} & master
    assert not {name for name in master if name.startswith("torana.web")}


@pytest.mark.parametrize("name", ["niquests", "urllib3_future", "wreq", "primp", "pycurl"])
def test_what_breaks_the_http_client_is_not_installed(name):
    # niquests puts a slower fork in the place of urllib3; the others block a gevent hub.
    assert importlib.util.find_spec(name) is None


def test_urllib3_is_the_real_one():
    import urllib3

    assert importlib.metadata.version("urllib3").startswith("2.")
    assert not hasattr(urllib3, "AsyncPoolManager")
