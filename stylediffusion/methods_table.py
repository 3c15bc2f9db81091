"""The methods as a person reads them, made from what GET /methods answers."""

import json
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from service.routes.catalogue import list_methods
from service.schemas.catalogue import MethodView

_BOUNDS: Final = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))


def print_methods(*, as_json: bool) -> None:
    """Prints every method; as JSON it is the very answer of the service."""
    answer = list_methods()
    console = Console()
    if as_json:
        console.print_json(answer.model_dump_json())
        return
    for title, views in (("inversions", answer.inversions), ("edits", answer.edits)):
        console.print(f"[bold]{title}[/bold]\n")
        for view in views:
            _print(view, console)


def _print(view: MethodView, console: Console) -> None:
    paper = view.citation
    console.print(f"[bold]{view.name}[/bold]  {view.summary}")
    console.print(f"{paper.authors} {paper.year}, {paper.title}, {paper.url}", style="dim")
    passes = f"at most {view.cost.unet_forwards} forward and {view.cost.unet_backwards} backward UNet passes"
    console.print(f"With the defaults {passes}.", style="dim")
    if view.stochastic:
        console.print("Draws noise: --count gives as many results, each by a seed of its own.", style="dim")
    if view.search:
        rows = "; ".join(
            " ".join(f"{name}={value:g}" for name, value in row.items()) or "defaults" for row in view.search
        )
        console.print(f"--search tries {rows}.", style="dim")
    table = Table("parameter", "values", "default", "meaning", box=None, padding=(0, 1))
    for name, schema in view.parameters["properties"].items():
        default = json.dumps(schema["default"]) if "default" in schema else ""
        table.add_row(name, _values(schema, view.parameters.get("$defs", {})), default, schema.get("description", ""))
    console.print(table, "")


def _values(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a parameter may be, in a few signs."""
    if "$ref" in schema:
        return _values(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_values(one, definitions) for one in schema["anyOf"])
    if schema.get("type") == "object" and "properties" in schema:
        return f"{{{', '.join(schema['properties'])}}}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"{{word: {_values(schema['additionalProperties'], definitions)}}}"
    bounds = " ".join(f"{sign}{schema[name]:g}" for name, sign in _BOUNDS if name in schema)
    return f"{schema.get('type', '')} {bounds}".strip()
