"""`sparqc sensitivity`: which layers may stay dense or float, and what each costs."""
