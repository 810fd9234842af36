"""What `sparqc ops` and `natives` say."""

from tests.tools.rules.conftest import ask

__all__ = ["ask"]
