"""Static checks of pattern files: names, types, rewrites, overlap, termination."""
