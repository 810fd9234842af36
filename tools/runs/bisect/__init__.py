"""`sparqc bisect`: the one rule application or decision that makes a result bad."""
