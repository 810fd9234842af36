"""The built-in passes: one transformation of a graph in each file or folder."""

#: Where natives stand: who asks for them alone does not wait for the passes.
__natives__ = ("natives",)
