"""`sparqc inspect run/ --tui`: a run in the terminal, without a browser and without a model."""
