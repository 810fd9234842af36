"""`sparqc passes`, `rules` and `targets`: what there is."""
