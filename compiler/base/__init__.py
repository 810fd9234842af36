"""What every room may use: options and how they are written, plug-ins, tables in TOML."""
