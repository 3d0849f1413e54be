"""`python -m hwprune` and the `hwprune` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from hwprune.cli.app import run

    run()


if __name__ == "__main__":
    main()
