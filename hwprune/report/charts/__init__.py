"""Charts as inline SVG: no library, no script, colours from the page's style sheet."""
