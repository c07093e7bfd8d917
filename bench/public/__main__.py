"""``python -m evenhand``: the command line."""

from evenhand.bench.cli.main import main

if __name__ == "__main__":
    main()
