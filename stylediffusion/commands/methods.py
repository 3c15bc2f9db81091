"""`methods`: what can be asked for."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As GET /methods answers.")
def methods(*, as_json: bool) -> None:
    """List every method with its parameters, their bounds, defaults and meaning."""
    from stylediffusion.methods_table import print_methods

    print_methods(as_json=as_json)
