"""What can be known of the container files without an engine to run them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings

_ROOT = Path(__file__).parents[2]
_STAGE = re.compile(r"^FROM \S+ AS (\S+)$", re.MULTILINE)


def _services(file: str) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load((_ROOT / file).read_text())["services"]
    return services


def test_compose_describes_every_process_of_the_service() -> None:
    commands = {name: service.get("command", []) for name, service in _services("docker-compose.yml").items()}

    assert commands.keys() == {"postgres", "redis", "object-store", "migrate", "api", "worker"}
    assert commands["migrate"] == ["stylediffusion", "migrate"]
    assert commands["redis"][:3] == ["redis-server", "--appendonly", "yes"]


def test_containers_are_told_by_the_names_of_our_settings() -> None:
    known = {name.upper() for name in Settings.model_fields}
    built = [service for service in _services("docker-compose.yml").values() if "build" in service]

    assert len(built) == 3
    for service in built:
        assert service["environment"].keys() <= known


def test_built_services_name_a_stage_of_the_dockerfile() -> None:
    stages = _STAGE.findall((_ROOT / "Dockerfile").read_text())
    targets = {service["build"]["target"] for service in _services("docker-compose.yml").values() if "build" in service}

    assert targets == {"api", "worker"}
    assert targets <= set(stages)


def test_services_wait_for_services_that_exist_and_can_be_healthy() -> None:
    services = _services("docker-compose.yml")
    waits = [(name, wait) for service in services.values() for name, wait in service.get("depends_on", {}).items()]

    assert waits
    for name, wait in waits:
        assert wait["condition"] == ("service_completed_successfully" if name == "migrate" else "service_healthy")
        assert name == "migrate" or "healthcheck" in services[name]


def test_the_gpu_file_changes_only_services_that_exist() -> None:
    assert _services("docker-compose.gpu.yml").keys() <= _services("docker-compose.yml").keys()


@pytest.mark.parametrize("package", ["core", "migrations", "service", "stylediffusion", "worker"])
def test_every_package_goes_into_the_images(package: str) -> None:
    assert f"!{package}" in (_ROOT / ".dockerignore").read_text().splitlines()
