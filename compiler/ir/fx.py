"""The FX adapter: exported torch.fx graph modules in, torch.fx graph modules out."""

from sparqc.ir.fx_alias import InPlaceError
from sparqc.ir.fx_read import read_fx
from sparqc.ir.fx_write import take_weights, write_fx

__all__ = ["InPlaceError", "read_fx", "take_weights", "write_fx"]
