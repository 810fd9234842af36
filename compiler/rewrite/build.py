"""The right side of a rule: the nodes and constants that its `rewrite` block asks for.

New nodes are put in front of the root; nothing that was there changes.  `undo` takes them away
again, so that an application that fails leaves the graph as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparqc.errors import PatternError, Span, SparqcError, did_you_mean
from sparqc.ir.graph import Attribute, Node, Origin, TensorType, Value
from sparqc.ir.levels.infer import inferred
from sparqc.ir.vocabulary.forms import NUMPY_DTYPES
from sparqc.ir.vocabulary.operator import Operator, Required
from sparqc.ir.vocabulary.raw import opsets_of, raw_operator
from sparqc.lang.ast import BuildCall, Expr, Name, RewriteStatement, RuleDecl
from sparqc.match.call import NativeFailure
from sparqc.match.evaluate import Environment, evaluate
from sparqc.match.result import Match, Matched
from sparqc.match.terms import Undetermined, show
from sparqc.rewrite.types import require_taken, require_type

#: Names of new values while the old ones still have theirs.
PROVISIONAL = "~"


class NodeBuilder:
    """Builds what one application of a rule adds."""

    def __init__(self, rule: RuleDecl, match: Match, environment: Environment) -> None:
        self.rule, self.match, self.environment = rule, match, environment
        self.graph, self.table = match.root.graph, environment.table
        #: What the names of the block stand for so far.
        self.names: dict[str, Any] = {}
        self.created: list[Node] = []
        #: The names that new values should have, best first, once the old values are gone.
        self.preferred_names: dict[Value, tuple[str, ...]] = {}
        #: What other readers than the first, or than the graph outputs, read in place of a value.
        self.own: list[tuple[Node, Value, Value]] = []
        #: Names of replaced values whose type the new ones are believed to have: none could tell.
        self.untyped: list[str] = []
        self._constants: list[Value] = []
        #: The statement that is carried out.
        self._span: Span | None = None
        #: New nodes stand in front of it.
        self._anchor = match.root

    def run(self) -> None:
        """Carry out the statements in order; PatternError or SparqcError where one fails."""
        for statement in self.rule.rewrite:
            self._statement(statement)

    def undo(self) -> None:
        """Take away everything that was added."""
        for node in reversed(self.created):
            self.graph.erase(node)
        for value in self._constants:
            self.graph.drop_constant(value)

    def constant(self, array: Any, name: str) -> Value:
        """A new constant, to be named `name` if that name becomes free."""
        value = self.graph.constant(np.asarray(array), self.graph.fresh(name + PROVISIONAL))
        self.preferred_names[value] = (name,)
        self._constants.append(value)
        return value

    def origin(self, model: Node | None) -> Origin:
        """The origin of a new node: that of its model or the root, and the rules of all matched."""
        origin = (model or self.match.root).origin
        for node in self.match.nodes:
            for rule in node.origin.rules:
                origin = origin.after(rule)
        return origin.after(label(self.rule))

    # -- statements ------------------------------------------------------------------------------

    def _statement(self, statement: RewriteStatement) -> None:
        targets, self._span = statement.targets, statement.span
        if statement.each:
            self._for_each_reader(statement)
            return
        if isinstance(statement.expr, BuildCall):
            results: Sequence[Any] = self._build(statement.expr, targets)
        else:
            result = self._evaluate(statement.expr)
            results = (result,) if len(targets) == 1 else self._several(result, statement)
        if len(results) < len(targets):
            raise self._error(f"{len(targets)} names for {len(results)} values", statement.span)
        self.names.update(zip(targets, results, strict=False))

    def _for_each_reader(self, statement: RewriteStatement) -> None:
        """Build an operator for each reader, in front of it; a value that is read once stays."""
        (name,), call = statement.targets, statement.expr
        old = self._replaced(name)
        assert old is not None and isinstance(call, BuildCall)
        readers: list[Node | None] = [None] if old.is_output else []
        readers += old.readers
        built: list[Value] = []
        for reader in readers if len(readers) > 1 else []:
            self._anchor = reader or self.match.root
            built += self._build(call, statement.targets)
        self._anchor = self.match.root
        self.names[name] = built[0] if built else old  # only now: `like` means the old one
        self.own += [(r, old, new) for r, new in zip(readers[1:], built[1:], strict=False) if r]

    def _several(self, result: Any, statement: RewriteStatement) -> Sequence[Any]:
        count = len(statement.targets)
        if not isinstance(result, tuple) or len(result) != count:
            found = f"{len(result)} values" if isinstance(result, tuple) else "one value"
            raise self._error(f"{count} names for {found}", statement.span)
        return result

    def _evaluate(self, expr: Expr) -> Any:
        try:
            return evaluate(expr, self.match, self.environment, self.names)
        except Undetermined as unknown:
            raise SparqcError(
                f"{self._place()}: {unknown.reason}",
                span=expr.span or self.rule.span,
                hint="a constraint such as `w: const` or a `where` line would have refused this",
            ) from unknown
        except (PatternError, NativeFailure):
            raise
        except SparqcError as error:  # a native refuses, and does not know for which layer
            message = f"{self._place()}: {error.message}"
            raise SparqcError(message, span=error.span, hint=error.hint) from error

    def _place(self) -> str:
        """The rule and where in the user's model it is at work."""
        origin = self.match.root.origin
        where = " ".join(part for part in (origin.module, origin.source) if part)
        at = self.match.root.output.name
        return f"{self.rule.name} at {at}" + (f" ({where})" if where else "")

    # -- operators -------------------------------------------------------------------------------

    def _build(self, call: BuildCall, targets: Sequence[str] = ()) -> tuple[Value, ...]:
        """The outputs of a new node; of a `maybe` that was not taken, its first operand."""
        taken = self._taken(call)
        if call.maybe and taken is None:
            return (self._present(self._operand(call.operands[0], None, "x"), call),)
        if taken is not None and taken.nodes and taken.nodes[0].op != call.op:
            return self._copy(taken, call, targets)
        model = self._model(call, targets) or (taken.nodes[0] if taken else None)
        operator = self._operator(call)
        attributes = self._attributes(call, operator, model)
        operands = self._operands(call, operator, model)
        old = [self._replaced(name) for name in targets]
        count = self._count(operator, targets, model)
        carried = [v.name for v in model.outputs] if model and (call.like or taken) else []
        node = self._create(call.op, operands, attributes, model, old, carried, count)
        return node.outputs

    def _taken(self, call: BuildCall) -> Matched | None:
        """What the match found for a `maybe`, or for a family, that is built again."""
        if call.maybe:
            return self.match.taken_call(call.op)
        return None if call.op in self.table.names else self.match.family_call(call.op)

    def _create(
        self,
        op: str,
        operands: dict[str, Value | tuple[Value, ...] | None],
        attributes: dict[str, Attribute],
        model: Node | None,
        old: Sequence[Value | None],
        carried: Sequence[str],
        count: int,
    ) -> Node:
        """Add a node; `old` are the values that its outputs replace, `carried` further names."""
        replaced = [old[i] if i < len(old) else None for i in range(count)]
        preferred = [
            (*carried[i : i + 1], *((value.name,) if value is not None else ()))
            for i, value in enumerate(replaced)
        ]
        short = op.rpartition(".")[2]
        node = self.graph.create(
            op,
            operands,
            attributes,
            types=[TensorType()] * count,
            names=[given[0] + PROVISIONAL if given else short for given in preferred],
            before=self._anchor,
            origin=self.origin(model),
            raw=model.raw if model is not None and model.op == op else None,
        )
        node.layers = model.layers if model is not None else ()
        self.created.append(node)
        self.preferred_names.update(
            (v, w) for v, w in zip(node.outputs, preferred, strict=True) if w
        )
        self._type(node, replaced)
        return node

    def _type(self, node: Node, replaced: Sequence[Value | None]) -> None:
        """Give the outputs their types: what is known of those that they replace, else what
        follows from the operands; PatternError where the two are not the same."""
        found = inferred(self.graph, node, self.table)
        rule, span = self.rule.name, self._span or self.rule.span
        require_taken(node, found, self.match.root, rule, span, self.table)
        for index, (value, old) in enumerate(zip(node.outputs, replaced, strict=True)):
            value.type = found.of(index)
            if old is None:
                continue
            require_type(self.graph, old, value.type, rule, span, self.table)
            if value.type.dtype == "?" or value.shape is None:
                self.untyped.append(old.name)
            if old.type.dtype != "?" and old.shape is not None:
                value.type = old.type

    def _operator(self, call: BuildCall) -> Operator:
        known = self.table.get(call.op) or raw_operator(call.op, opsets_of(self.graph))
        return known or self.table.require(call.op, call.span)

    def _model(self, call: BuildCall, targets: Sequence[str]) -> Node | None:
        """The operator that the new one is like: as written, else the one whose place it takes."""
        if call.like is not None:
            value = self.names.get(call.like, self.match.bindings.get(call.like))
            if not isinstance(value, Value):
                return None
            known = self.match.operators_of(value)
            return next((n for n in known if n.op == call.op), next(iter(known), None))
        old = self._replaced(targets[0]) if targets else None
        producer = old.producer if old is not None else None
        return producer if producer is not None and producer.op == call.op else None

    def _attributes(
        self, call: BuildCall, operator: Operator, model: Node | None
    ) -> dict[str, Attribute]:
        """As written, else carried over by `like`, else the default."""
        carried = model.attributes if model is not None and (call.like or call.maybe) else {}
        found: dict[str, Any] = {**operator.attributes, **self._known(carried, operator)}
        for name, expr in call.attributes:
            if name not in operator.attributes:
                hint = did_you_mean(name, operator.attributes)
                raise self._error(f"{call.op} has no attribute {name!r}", call.span, hint)
            found[name] = self._evaluate(expr)
        missing = [name for name, value in found.items() if isinstance(value, Required)]
        if missing:
            raise self._error(f"{call.op} needs the attribute {missing[0]!r}", call.span)
        return found

    def _known(self, carried: Any, operator: Operator) -> dict[str, Attribute]:
        if operator.name not in self.table.names:  # raw: what its schema does not name counts too
            return dict(carried)
        return {name: value for name, value in carried.items() if name in operator.attributes}

    def _operands(
        self, call: BuildCall, operator: Operator, model: Node | None
    ) -> dict[str, Value | tuple[Value, ...] | None]:
        slots = operator.operands
        variadic = slots[-1].name if slots and slots[-1].variadic else None
        names = [s.name for s in slots if s.name != variadic]
        given: list[Value | None] = []
        for index, expr in enumerate(call.operands):
            slot = names[index] if index < len(names) else variadic or "x"
            given.append(self._operand(expr, model, slot, given))
        given += self._rest(call)
        while given and given[-1] is None:
            given.pop()
        if len(given) > len(names) and variadic is None:
            raise self._error(f"{call.op} takes {len(names)} operands, not {len(given)}", call.span)
        found: dict[str, Value | tuple[Value, ...] | None] = dict.fromkeys(names)
        found.update(zip(names, given, strict=False))
        for slot_ in slots:
            if not slot_.optional and not slot_.variadic and found[slot_.name] is None:
                raise self._error(f"{call.op} needs the operand {slot_.name!r}", call.span)
        if variadic is not None:
            found[variadic] = tuple(self._present(v, call) for v in given[len(names) :])
        return found

    def _rest(self, call: BuildCall) -> list[Value | None]:
        if call.rest is None:
            return []
        bound = self.names.get(call.rest, self.match.bindings.get(call.rest))
        if not isinstance(bound, tuple):
            raise self._error(f"{call.rest!r} is no list of operands", call.span)
        return list(bound)

    def _count(self, operator: Operator, targets: Sequence[str], model: Node | None) -> int:
        """How many outputs the new node has."""
        fixed = not any(name.endswith("*") for name in operator.outputs)
        if fixed and operator.name in self.table.names:
            return len(operator.outputs)
        alike = len(model.outputs) if model is not None and model.op == operator.name else 1
        return max(1, len(targets), alike)

    # -- operands --------------------------------------------------------------------------------

    def _operand(
        self,
        expr: Expr | BuildCall,
        model: Node | None,
        slot: str,
        others: Sequence[Value | None] = (),
    ) -> Value | None:
        """An operand; an array, a number or a list of numbers becomes a constant."""
        if isinstance(expr, BuildCall):
            if expr.maybe and self.match.taken_call(expr.op) is None:
                return self._operand(expr.operands[0], model, slot, others)
            return self._build(expr)[0]
        term = self._evaluate(expr)
        if term is None or isinstance(term, Value):
            return term
        value = self.constant(
            self._array(term, others, expr.span), self._preferred_name(model, slot)
        )
        if isinstance(expr, Name):
            self.names[expr.id] = value  # a second use is the same constant
        return value

    def _array(self, term: Any, others: Sequence[Value | None], span: Span | None) -> Any:
        """Numbers in the type of the first tensor beside them; lists of integers as i64."""
        if isinstance(term, (np.ndarray, np.generic)):
            return term
        numbers = term if isinstance(term, tuple) else (term,)
        if any(isinstance(n, str) or not isinstance(n, (bool, int, float)) for n in numbers):
            raise self._error(f"{show(term)} is no operand", span)
        if isinstance(term, tuple) and all(isinstance(n, int) for n in term):
            return np.array(term, np.int64)
        beside = [v.type.dtype for v in (*others, *self._replaced_values()) if v is not None]
        whole = all(isinstance(n, int) for n in numbers)
        dtype = next((d for d in beside if d in NUMPY_DTYPES and (whole or "f" in d)), None)
        if dtype is None:
            raise self._error(f"the type of the constant {show(term)} is not known", span)
        return np.array(term, NUMPY_DTYPES[dtype])

    def _preferred_name(self, model: Node | None, slot: str) -> str:
        """The name of a new constant: of the constant in whose place it stands."""
        model = model or self.match.root
        old = model.operands.get(slot)
        if isinstance(old, Value) and old.is_const:
            return old.name
        return f"{model.origin.module or model.output.name}.{slot}"

    def _copy(self, taken: Matched, call: BuildCall, targets: Sequence[str]) -> tuple[Value, ...]:
        """A family or a spelling, built again over other operands as it was matched."""
        if call.attributes:
            raise self._error(f"{call.op} stands for other operators: no attributes", call.span)
        new = [
            self._operand(expr, *_reader(taken, old))
            for expr, old in zip(call.operands, taken.operands, strict=False)
        ]
        known = {o: n for o, n in zip(taken.operands, new, strict=False) if o is not None}
        return (self._copy_value(taken.value, taken, known, targets),)

    def _copy_value(
        self,
        value: Value,
        taken: Matched,
        known: dict[Value, Value | None],
        targets: Sequence[str] = (),
    ) -> Any:
        if value in known:
            return known[value]
        node = value.producer
        if node is None or node not in taken.nodes:
            return value
        operands = {
            slot: tuple(self._copy_value(v, taken, known) for v in operand)
            if isinstance(operand, tuple)
            else None if operand is None
            else self._copy_value(operand, taken, known)
            for slot, operand in node.operands.items()
        }  # fmt: skip
        old = [self._replaced(name) for name in targets]
        carried = [v.name for v in node.outputs]
        count = len(node.outputs)
        copy = self._create(node.op, operands, dict(node.attributes), node, old, carried, count)
        known.update(zip(node.outputs, copy.outputs, strict=True))
        return known[value]

    def _replaced(self, name: str) -> Value | None:
        """The value that assigning to the name replaces."""
        value = self.match.bindings.get(name)
        return value if isinstance(value, Value) else None

    def _replaced_values(self) -> list[Value | None]:
        return [self._replaced(name) for s in self.rule.rewrite for name in s.targets]

    def _present(self, value: Value | None, call: BuildCall) -> Value:
        if value is None:
            raise self._error(f"an operand of {call.op} is absent", call.span)
        return value

    def _error(self, message: str, span: Span | None, hint: str = "") -> PatternError:
        return PatternError(f"{self.rule.name}: {message}", span=span or self.rule.span, hint=hint)


def _reader(taken: Matched, value: Value | None) -> tuple[Node, str]:
    """The operator of a matched call that reads a value, and in which operand."""
    if value is not None:
        for node in taken.nodes:
            for slot in node.slots_of(value):
                return node, slot
    return taken.nodes[0], "x"


def label(rule: RuleDecl) -> str:
    """How provenance names a rule: "patterns/algebra/fold.spq:12 fold_batch_norm"."""
    span = rule.span
    return f"{span.file}:{span.line} {rule.name}" if span else rule.name
