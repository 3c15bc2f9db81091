"""`python -m stylediffusion` is the command `stylediffusion`."""

from stylediffusion.cli import main

main()
