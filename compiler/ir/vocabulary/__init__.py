"""What an operator is, the table of all that are known, and the schemas behind raw ones."""
