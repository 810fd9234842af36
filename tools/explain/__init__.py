"""`sparqc explain`: the predicted engine, as text, and beside a real one."""
