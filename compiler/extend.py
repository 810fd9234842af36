"""What plug-ins import: everything that a pass, a rule, an operator or a target is written with.

* Passes: `Pass` with `register`, and what `run` is given beside the graph, a `Context`.  `passes`
  has all of them, `make` gives one by name; `parse` reads a line of them, `run` runs it.
* The graph: `Graph` of `Node`s and `Value`s.  `infer_types` after a node is made; `constant_value`
  and `weight_of` to look at numbers; `open_runner` to run a graph on arrays.  `parse_statements`
  makes a small one for a test, `print_graph` and `parse_graph` are a whole one as text and back.
* `Facts` are what passes leave for later ones and for reports: a `Placement`, a `Pruning`, or
  records of your own.
* Rules: `native` for the functions that pattern files call, `rule` for rules that Python writes,
  `rulebook` for all that pattern files declare; `rewrite` applies rules, `Matcher` and `cover` find
  what matches.
* Operators: an `Operator` is a row of the `default_table`; the other names are its parts, and
  `fx_call` and `emit_one` make its writers short.
* Targets: a `profile` says what is known of one, `predict_graph` which engine it would make.
* Watching: an `Action` tells each `Listener` of every `PassEvent` and `RuleEvent`, and of every
  `DecisionEvent` of a pass that is no rule, where it sets `decisions`; a `Recorder`
  keeps them.  `sparqc.compile(…, listeners=[…])` takes listeners too.
* Mistakes that people make are a `SparqcError`, with a `Span` where they stand in a file.

Importing this module loads neither torch nor onnx; each name is imported on first use.  Other
modules below `sparqc` may move from version to version, these names do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparqc.base.lazy import door

__all__ = [
    "REQUIRED",
    "Action",
    "Adoption",
    "Array",
    "Attribute",
    "Batch",
    "BiasCorrection",
    "BoundaryEnds",
    "CalibratedRanges",
    "CalibrationSamples",
    "Call",
    "Context",
    "DecisionEvent",
    "Distillations",
    "Equalization",
    "ExportedAlone",
    "Facts",
    "Findings",
    "FxCall",
    "FxForm",
    "Graph",
    "HalfConversion",
    "Judgements",
    "Level",
    "Listener",
    "Match",
    "Matcher",
    "Node",
    "OnnxEmitter",
    "OnnxForm",
    "OperandSpec",
    "Operator",
    "OperatorTable",
    "Origin",
    "Pass",
    "PassEvent",
    "PatternError",
    "Permutations",
    "Pipeline",
    "Placement",
    "PredictedEngine",
    "Profile",
    "Pruning",
    "Ranks",
    "Reading",
    "Recorder",
    "Reestimation",
    "RequestedOpset",
    "Required",
    "RuleBook",
    "RuleBuilder",
    "RuleEvent",
    "Sample",
    "Shape",
    "Span",
    "SparqcError",
    "TensorType",
    "Ties",
    "Untying",
    "UsageError",
    "Value",
    "Weighing",
    "WeightRounding",
    "WeightSpec",
    "Weighted",
    "Widened",
    "constant_value",
    "cover",
    "default_profile",
    "default_table",
    "did_you_mean",
    "emit_one",
    "fx_call",
    "infer_types",
    "make",
    "native",
    "open_runner",
    "parse",
    "parse_graph",
    "parse_statements",
    "passes",
    "predict_graph",
    "print_graph",
    "profile",
    "read_onnx",
    "register",
    "rewrite",
    "rule",
    "rulebook",
    "run",
    "weight_of",
]

#: The public names, by the module that defines them.
HOMES = {
    "sparqc.declared.natives": ("native",),
    "sparqc.declared.targets": ("Profile", "default_profile", "profile"),
    "sparqc.errors": ("PatternError", "Span", "SparqcError", "UsageError", "did_you_mean"),
    "sparqc.ir.constants": ("constant_value",),
    "sparqc.ir.graph": (
        "Array", "Attribute", "Graph", "Node", "Origin", "TensorType", "Value",
    ),
    "sparqc.ir.levels.execute": ("open_runner",),
    "sparqc.ir.levels.infer": ("infer_types",),
    "sparqc.ir.onnx.read": ("read_onnx",),
    "sparqc.ir.text.parse": ("parse_graph", "parse_statements"),
    "sparqc.ir.text.print": ("print_graph",),
    "sparqc.ir.types": ("Level", "Shape"),
    "sparqc.ir.vocabulary.forms": ("emit_one", "fx_call"),
    "sparqc.ir.vocabulary.operator": (
        "REQUIRED", "Call", "FxCall", "FxForm", "OnnxEmitter", "OnnxForm", "OperandSpec",
        "Operator", "Reading", "Required", "Sample", "WeightSpec",
    ),
    "sparqc.ir.vocabulary.table": ("OperatorTable", "default_table"),
    "sparqc.ir.weighted": ("Weighted", "weight_of"),
    "sparqc.lang.parse.decorator": ("RuleBuilder", "rule"),
    "sparqc.match.cover": ("cover",),
    "sparqc.match.match": ("Matcher",),
    "sparqc.match.result": ("Match",),
    "sparqc.match.rulebook": ("RuleBook",),
    "sparqc.passes.adopt.adopted": ("Adoption",),
    "sparqc.passes.boundary": ("BoundaryEnds",),
    "sparqc.passes.calibrate.calibrate": ("CalibratedRanges",),
    "sparqc.passes.check.finding": ("Findings",),
    "sparqc.passes.correct_bias.correct_bias": ("BiasCorrection",),
    "sparqc.passes.distill": ("Distillations",),
    "sparqc.passes.equalize.equalized": ("Equalization",),
    "sparqc.passes.export": ("ExportedAlone", "RequestedOpset"),
    "sparqc.passes.half.half": ("HalfConversion",),
    "sparqc.passes.half.widened": ("Widened",),
    "sparqc.passes.masks.pruning": ("Pruning",),
    "sparqc.passes.permute.permutation": ("Permutations",),
    "sparqc.passes.on_data.batches": ("CalibrationSamples",),
    "sparqc.passes.on_data.transaction": ("Judgements",),
    "sparqc.passes.place.placement": ("Placement",),
    "sparqc.passes.place.ties": ("Ties",),
    "sparqc.passes.untie.untied": ("Untying",),
    "sparqc.passes.weigh.weighed": ("Weighing",),
    "sparqc.passes.reestimate": ("Reestimation",),
    "sparqc.passes.round_weights": ("WeightRounding",),
    "sparqc.pipeline.action": ("Action",),
    "sparqc.pipeline.catalogue": ("make", "passes"),
    "sparqc.pipeline.events": ("DecisionEvent", "Listener", "PassEvent", "RuleEvent"),
    "sparqc.pipeline.library": ("rulebook",),
    "sparqc.pipeline.passbase": ("Pass",),
    "sparqc.pipeline.registry": ("register",),
    "sparqc.pipeline.run": ("parse", "run"),
    "sparqc.pipeline.steps": ("Pipeline",),
    "sparqc.pipeline.trace": ("Recorder",),
    "sparqc.predict.engine": ("PredictedEngine",),
    "sparqc.predict.predict": ("predict_graph",),
    "sparqc.ranks.ranks": ("Ranks",),
    "sparqc.rewrite.context": ("Batch", "Context"),
    "sparqc.rewrite.facts": ("Facts",),
    "sparqc.rewrite.worklist": ("rewrite",),
}  # fmt: skip

if TYPE_CHECKING:
    from sparqc.declared.natives import native
    from sparqc.declared.targets import Profile, default_profile, profile
    from sparqc.errors import PatternError, Span, SparqcError, UsageError, did_you_mean
    from sparqc.ir.constants import constant_value
    from sparqc.ir.graph import Array, Attribute, Graph, Node, Origin, TensorType, Value
    from sparqc.ir.levels.execute import open_runner
    from sparqc.ir.levels.infer import infer_types
    from sparqc.ir.onnx.read import read_onnx
    from sparqc.ir.text.parse import parse_graph, parse_statements
    from sparqc.ir.text.print import print_graph
    from sparqc.ir.types import Level, Shape
    from sparqc.ir.vocabulary.forms import emit_one, fx_call
    from sparqc.ir.vocabulary.operator import (
        REQUIRED,
        Call,
        FxCall,
        FxForm,
        OnnxEmitter,
        OnnxForm,
        OperandSpec,
        Operator,
        Reading,
        Required,
        Sample,
        WeightSpec,
    )
    from sparqc.ir.vocabulary.table import OperatorTable, default_table
    from sparqc.ir.weighted import Weighted, weight_of
    from sparqc.lang.parse.decorator import RuleBuilder, rule
    from sparqc.match.cover import cover
    from sparqc.match.match import Matcher
    from sparqc.match.result import Match
    from sparqc.match.rulebook import RuleBook
    from sparqc.passes.adopt.adopted import Adoption
    from sparqc.passes.boundary import BoundaryEnds
    from sparqc.passes.calibrate.calibrate import CalibratedRanges
    from sparqc.passes.check.finding import Findings
    from sparqc.passes.correct_bias.correct_bias import BiasCorrection
    from sparqc.passes.distill import Distillations
    from sparqc.passes.equalize.equalized import Equalization
    from sparqc.passes.export import ExportedAlone, RequestedOpset
    from sparqc.passes.half.half import HalfConversion
    from sparqc.passes.half.widened import Widened
    from sparqc.passes.masks.pruning import Pruning
    from sparqc.passes.on_data.batches import CalibrationSamples
    from sparqc.passes.on_data.transaction import Judgements
    from sparqc.passes.permute.permutation import Permutations
    from sparqc.passes.place.placement import Placement
    from sparqc.passes.place.ties import Ties
    from sparqc.passes.reestimate import Reestimation
    from sparqc.passes.round_weights import WeightRounding
    from sparqc.passes.untie.untied import Untying
    from sparqc.passes.weigh.weighed import Weighing
    from sparqc.pipeline.action import Action
    from sparqc.pipeline.catalogue import make, passes
    from sparqc.pipeline.events import DecisionEvent, Listener, PassEvent, RuleEvent
    from sparqc.pipeline.library import rulebook
    from sparqc.pipeline.passbase import Pass
    from sparqc.pipeline.registry import register
    from sparqc.pipeline.run import parse, run
    from sparqc.pipeline.steps import Pipeline
    from sparqc.pipeline.trace import Recorder
    from sparqc.predict.engine import PredictedEngine
    from sparqc.predict.predict import predict_graph
    from sparqc.ranks.ranks import Ranks
    from sparqc.rewrite.context import Batch, Context
    from sparqc.rewrite.facts import Facts
    from sparqc.rewrite.worklist import rewrite
else:  # a type checker sees the names above, and refuses others
    __getattr__, __dir__ = door(__name__, HOMES)
