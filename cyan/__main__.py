"""`python -m cyan` is the `cyan` command."""

from cyan.program import main

main()
