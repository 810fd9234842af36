"""The processes of one training run: how they meet, and what they share."""
