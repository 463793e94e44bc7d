"""`python -m sessionstore`."""

from sessionstore.cli import main

main()
