"""The papers' own experiments: masks on trained networks, and what a mask really removes."""
