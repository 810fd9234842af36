"""`sparqc rules test`: rules held to instances that are generated from what they match."""
