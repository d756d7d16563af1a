"""How long compiled updates take, side by side."""
