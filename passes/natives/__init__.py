"""The pure functions that pattern files call as `@name(...)`, which they find by registration."""
