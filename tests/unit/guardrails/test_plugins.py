"""Kinds of guardrails from installed packages, and the example of the documentation."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.guardrails.guarding import guards_of, prompted, row, through
from torana.errors import ConfigurationError, GuardrailBlocked, InvalidRequest
from torana.guardrails.base import CallFacts, GuardedCall, Guardrail
from torana.guardrails.registry import GROUP, Registry, installed

DOCUMENT = (Path(__file__).parents[3] / "docs" / "guardrails.md").read_text(encoding="utf-8")
MODULE = "torana_example_guardrail"


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The kinds with the documentation's example installed, as its entry point says."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    (entry,) = re.findall(r'\[project.entry-points."torana.guardrails"\]\n(\w+) = "(.*)"', DOCUMENT)
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, entry[1].partition(":")[0], module)
    exec(compile(code, "docs/guardrails.md", "exec"), module.__dict__)  # noqa: S102
    return Registry([point(*entry)])


def test_the_example_of_the_documentation_works(example):
    assert example.names[-1] == "project_names"
    guards = guards_of(
        row("names", "project_names", {"names": {"Bluebird": "Project A"}}, where="both"),
        registry=example,
    )
    assert prompted(guards, "What is Bluebird?") == ["What is Project A?"]
    chain = guards.filter()
    assert chain is not None
    assert through(chain, list("Ask Project A.")) == "Ask Bluebird."
    assert through(guards.filter() or chain, ["Project A"]) == "Bluebird"


def test_the_example_refuses_what_it_can_not_do(example):
    with pytest.raises(InvalidRequest) as caught:
        example.build("project_names", "names", {"name": {}})
    assert "Did you mean 'names'?" in caught.value.public_message
    with pytest.raises(InvalidRequest, match="at least one name"):
        example.build("project_names", "names", {"names": {}})


class WithoutOptions(Guardrail):
    Options = dict  # type: ignore[assignment]

    def begin(self, facts: CallFacts) -> GuardedCall:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([point("p", "no_such_module_anywhere:Kind")], "'p' (no_such_module_anywhere:Kind) can't"),
        ([point("p", "torana.guardrails.base:Nothing")], "can't be imported: AttributeError"),
        ([point("p", "torana.guardrails.base:CallFacts")], "is not a subclass"),
        ([point("p", "torana.guardrails.base:NoOptions")] * 2, "Several installed packages"),
    ],
)
def test_a_broken_plugin_is_named(points, told):
    registry = Registry(points)
    assert "p" in registry.names
    with pytest.raises(ConfigurationError) as caught:
        registry.build("p", "g", {})
    assert told in caught.value.public_message


class Unmakeable(Guardrail):
    def __init__(self, name: str, options: Any) -> None:
        raise RuntimeError(name, options)

    def begin(self, facts: CallFacts) -> GuardedCall:
        raise NotImplementedError


def test_a_plugin_whose_options_are_of_another_kind_is_named(monkeypatch):
    module = ModuleType(MODULE)
    module.__dict__["WithoutOptions"] = WithoutOptions
    monkeypatch.setitem(sys.modules, MODULE, module)
    with pytest.raises(ConfigurationError, match=r"'p'.*has `Options` that are no"):
        Registry([point("p", f"{MODULE}:WithoutOptions")]).kind("p")


def test_a_plugin_whose_constructor_fails_is_named(monkeypatch):
    module = ModuleType(MODULE)
    module.__dict__["Unmakeable"] = Unmakeable
    monkeypatch.setitem(sys.modules, MODULE, module)
    with pytest.raises(ConfigurationError, match="'p' can't be made: RuntimeError"):
        Registry([point("p", f"{MODULE}:Unmakeable")]).build("p", "g", {})


def test_a_plugin_can_not_take_the_place_of_a_built_in_kind():
    registry = Registry([point("mask", "no_such_module_anywhere:Kind")])
    assert registry.names == Registry().names
    registry.build("mask", "g", {})


def test_an_unknown_kind_is_refused_with_the_nearest_name_or_all_of_them():
    with pytest.raises(InvalidRequest) as caught:
        installed().build("masks", "g", {})
    assert caught.value.param == "kind"
    assert "Did you mean 'mask'?" in caught.value.public_message
    with pytest.raises(InvalidRequest) as caught:
        Registry().kind("xyz")
    assert "There is: blocked_patterns, mask." in caught.value.public_message


def test_an_error_of_the_example_tells_no_text(example):
    guards = guards_of(row("names", "project_names", {"names": {"Bluebird": ""}}), registry=example)
    with pytest.raises(GuardrailBlocked) as caught:
        prompted(guards, "What is Bluebird?")
    assert "Bluebird" not in caught.value.public_message
