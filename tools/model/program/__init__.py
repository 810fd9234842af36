"""What an exported program in a file may hold: checked before torch sees any of it."""
