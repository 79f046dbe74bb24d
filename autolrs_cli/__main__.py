"""`python -m autolrs_cli`."""

from autolrs_cli.app import main

main()
