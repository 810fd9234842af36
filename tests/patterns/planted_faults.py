"""Twenty faults in rules that ship, which `sparqc rules test` has to find.

python -m tests.patterns.planted_faults
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sparqc.lang.parse.parser import parse_text
from sparqc.pipeline.installed import installed
from sparqc.tools.rules.trials.run import run_trials

CLEANUP, FOLD, ATTENTION = (
    f"patterns/{name}.spq" for name in ("algebra/cleanup", "algebra/fold", "tensorrt/attention")
)


@dataclass(frozen=True)
class Fault:
    """A text of a rule, and what is planted in its place."""

    file: str
    rule: str
    right: str
    wrong: str

    def is_found(self, count: int, seed: int = 0) -> bool:
        """Whether the rule goes wrong on so many graphs."""
        known = next(f for f in installed() if f.path == self.file)
        head, rule, rest = known.text.partition(f"rule {self.rule} ")
        assert self.right in rest, f"{self.rule} has no {self.right!r}"
        text = head + rule + rest.replace(self.right, self.wrong, 1)
        (outcome,) = run_trials(parse_text(text, known.path), self.rule, count, seed)
        return outcome.wrong > 0


FAULTS = (
    Fault(CLEANUP, "drop_cast", "x.dtype == t", "x.rank == x.rank"),
    Fault(CLEANUP, "merge_reshapes", "@copies_no_dimension(t)", "t.rank == 1"),
    Fault(CLEANUP, "merge_transposes", "@compose(p, q)", "@compose(q, p)"),
    Fault(CLEANUP, "drop_transposes", "@undoes(p, q)", "p == q"),
    Fault(CLEANUP, "drop_transpose", "@is_in_order(p)", "x.rank == 3"),
    Fault(CLEANUP, "einsum_to_matmul", "perm=r", "perm=q"),
    Fault(CLEANUP, "einsum_to_swapped_matmul", "perm=p", "perm=q"),
    Fault(CLEANUP, "cancel_requantize", 'q.dtype == "i8"', "q.rank == q.rank"),
    Fault(CLEANUP, "adaptive_to_average_pool", ", strides=k", ""),
    Fault(CLEANUP, "drop_unit_pool", "@all_ones(k) and @all_ones(s)", "@all_ones(s)"),
    Fault(CLEANUP, "average_of_whole_map", "@covers_map(k, p, x.shape, y.shape, c)", "k != p"),
    Fault(CLEANUP, "drop_add_of_zero", "@filled_with(z, 0)", "@filled_with(z, 1)"),
    Fault(FOLD, "fold_batch_norm", "mean, var, e)", "var, mean, e)"),
    Fault(FOLD, "fold_batch_norm", "b2) like c", "b2)"),
    Fault(FOLD, "fold_batch_norm", "maybe sparse.mask(w2, m)", "w2"),
    Fault(FOLD, "fold_batch_norm_transposed", "var, e, g)", "var, e, 1)"),
    Fault(FOLD, "fold_batch_norm_linear", "c.rank == 2", "c.rank >= 2"),
    Fault(FOLD, "fold_batch_norm_quantized", "low == -high", "low < high"),
    Fault(FOLD, "fold_factor", "not @turns_sign(f)", "true"),
    Fault(ATTENTION, "open_causal_attention", "axis=-1", "axis=-2"),
)


def main(count: int = 200) -> None:
    """Print each fault, and whether it is found."""
    logging.getLogger("torch._subclasses.fake_tensor").disabled = True
    found = [fault for fault in FAULTS if fault.is_found(count)]
    for fault in FAULTS:
        said = "found" if fault in found else "MISSED"
        print(f"{said:7} {fault.rule}: {fault.right} -> {fault.wrong or 'nothing'}")
    print(f"{len(found)} of {len(FAULTS)} found")


if __name__ == "__main__":
    main()
