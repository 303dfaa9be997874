"""`python -m sfhub ...` is the `sfhub` command."""

from sfhub.cli import main

if __name__ == "__main__":
    main()
