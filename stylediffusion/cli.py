"""The command line: its commands, and how their failures are told."""

import os
import sys

import click

from core.domain.errors import AppError
from stylediffusion.commands.batch import batch
from stylediffusion.commands.bench import bench
from stylediffusion.commands.demo import demo
from stylediffusion.commands.images import edit, invert
from stylediffusion.commands.keys import keys
from stylediffusion.commands.methods import methods
from stylediffusion.commands.parts import api, migrate, worker
from stylediffusion.commands.tenants import tenants
from stylediffusion.commands.up import up
from stylediffusion.errors import ClientError, Refused

_COMMANDS = (up, demo, invert, edit, batch, methods, api, worker, migrate, keys, tenants, bench)
# What the extra `worker` installs and the web process does without.
_EXTRA = frozenset({"accelerate", "diffusers", "jaxtyping", "safetensors", "torch", "transformers"})
_INTERRUPTED = 130  # as shells say it


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stylediffusion")
def cli() -> None:
    """Edit real photographs by words."""


for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Runs the command line; every failure that can be expected is one line, never a traceback."""
    # The bars and remarks of the libraries that load models would stand between ours.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(_INTERRUPTED)
    except (AppError, ClientError) as error:
        sys.exit("\n".join(_lines(error)))
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"Error: this needs {error.name}; install the project with its extra: pip install '.[worker]'")


def _lines(error: AppError | ClientError) -> list[str]:
    faults = error.errors if isinstance(error, AppError) else error.faults if isinstance(error, Refused) else ()
    return [f"Error: {error}", *(f"  {fault.pointer}: {fault.detail}" for fault in faults)]
