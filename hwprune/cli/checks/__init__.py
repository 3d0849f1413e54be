"""What the doctor looks at: software, the machine, the board, data."""
