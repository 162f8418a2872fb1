"""The container files keep their promises, as far as that shows without a container engine."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def test_the_image_runs_unprivileged_with_a_health_check_and_locked_packages():
    instructions = [
        line.split()[0] for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)
    ]
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001$", last_stage, re.MULTILINE)
    assert "HEALTHCHECK" in instructions
    installs = re.findall(r"pip install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert installs
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)


def test_what_the_image_copies_exists():
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_no_service_holds_a_secret_or_listens_to_the_world(name):
    service = COMPOSE["services"][name]
    for variable, value in service.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|KEY", variable):
            assert value.startswith("${"), variable
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_web_service_waits_for_the_migration_and_gets_time_to_drain():
    web = COMPOSE["services"]["web"]
    assert web["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert int(web["stop_grace_period"].removesuffix("s")) > 30
    assert web["read_only"]
    assert web["cap_drop"] == ["ALL"]
