"""What a person asks for: the command line, reports, files, engine builds."""
