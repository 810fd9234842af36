"""The FX adapter: exported torch.fx graph modules in, torch.fx graph modules out."""

from sparqc.ir.fx.alias import InPlaceError
from sparqc.ir.fx.read import read_fx
from sparqc.ir.fx.write import take_weights, write_fx

__all__ = ["InPlaceError", "read_fx", "take_weights", "write_fx"]
