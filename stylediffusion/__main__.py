"""`python -m stylediffusion` is the command line, for whoever starts it as a process of his own."""

from stylediffusion.cli import main

if __name__ == "__main__":
    main()
