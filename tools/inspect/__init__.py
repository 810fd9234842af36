"""`sparqc inspect`, `why` and `whynot`: a graph between its passes."""
