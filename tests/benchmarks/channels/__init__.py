"""Ways to choose which channels stay, at widths that are given."""
