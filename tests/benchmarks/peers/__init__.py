"""Other pruners, on this project's groups and boards."""
