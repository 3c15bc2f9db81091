"""The alert rules that ship name what `/metrics` has, and the howto says what each means."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.service.harness import Harness

_ROOT: Final = Path(__file__).parents[2]
_SUFFIXES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((_ROOT / "deploy/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_an_alert_reads_metrics_that_there_are(service: Harness, rule: dict[str, Any]) -> None:
    families = list(text_string_to_metric_families(service.client.get("/metrics").text))
    there = {family.name + suffix for family in families for suffix in _SUFFIXES[family.type]}

    named = set(re.findall(r"stylediffusion_\w+", rule["expr"]))

    assert named
    assert named <= there


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_explained(rule: dict[str, Any]) -> None:
    howto = (_ROOT / "docs/howto/operate.md").read_text()

    assert f"| `{rule['alert']}` |" in howto
