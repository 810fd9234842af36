"""What a person sees while something runs: the console, progress, files of text."""
