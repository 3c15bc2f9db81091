"""`methods`: what can be asked for."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As GET /methods answers.")
def methods(*, as_json: bool) -> None:
    """List methods and their parameters.

    Every one with its bounds, its default and its meaning.
    """
    from stylediffusion.methods_table import print_methods

    print_methods(as_json=as_json)
