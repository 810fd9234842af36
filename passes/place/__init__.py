"""Where quantizers stand: a plan from the fusions of the target, and its insertion."""
