"""`python -m cyan` is the `cyan` command."""

from cyan.cli import main

main()
