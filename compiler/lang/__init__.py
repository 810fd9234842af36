"""The language of pattern files: parser, static checks, formatter, and rules from Python."""
