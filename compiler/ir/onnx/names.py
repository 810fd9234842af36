"""Names of the tensors of one ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Names:
    """Hands out names, each once."""

    taken: set[str] = field(default_factory=set)
    _serials: dict[str, int] = field(default_factory=dict)

    def fresh(self, hint: str) -> str:
        """The hint itself where it is free, else "hint_1", "hint_2", …"""
        name = hint
        while name in self.taken:
            self._serials[hint] = self._serials.get(hint, 0) + 1
            name = f"{hint}_{self._serials[hint]}"
        self.taken.add(name)
        return name
