"""What a compile did, as data and as text."""
