"""What a hover says of a word: the page of an operator, a native, a declaration, a property."""

from __future__ import annotations

from sparqc.declared.knobs import knobs
from sparqc.ir.vocabulary.traits import TRAITS
from sparqc.lang.ast import Declaration, OpDecl
from sparqc.lang.check.scope import KIND_NAMES, scope_of
from sparqc.lang.format.formatter import format_declaration
from sparqc.lang.parse.keywords import BLOCK_USAGE, BLOCKS, LINE_USAGE, PROPERTIES
from sparqc.tools.editor.analysis import Analysis
from sparqc.tools.editor.words import Word
from sparqc.tools.reference.natives.entry import entries as native_entries
from sparqc.tools.reference.natives.text import section as native_section
from sparqc.tools.reference.operators.entry import entry_of
from sparqc.tools.reference.operators.text import section


def page(analysis: Analysis, word: Word) -> str:
    """Markdown; "" where there is nothing to say."""
    if word.kind == "operator":
        return _operator_page(analysis, word.text)
    if word.kind == "native":
        return _native_page(word.text)
    if word.kind == "knob":
        knob = knobs().get(word.text)
        return f"**knob.{knob.name}** (default {knob.default})\n\n{knob.doc}" if knob else ""
    if word.kind == "declared":
        return _declared_page(analysis, word.text)
    if word.kind == "field":
        said = PROPERTIES.get(word.text)
        return f"**{word.text}**: {said}" if said else f"the attribute **{word.text}**"
    if word.kind == "keyword":
        return _keyword_page(word)
    return _binding_page(analysis, word) if word.kind == "name" else ""


def _operator_page(analysis: Analysis, name: str) -> str:
    """Of an operator: operands, attributes with defaults, traits, forms; of a family or another
    spelling what it stands for."""
    table = analysis.vocabulary.table
    row = analysis.vocabulary.operator(name)
    parts = [section(entry_of(row, table))] if row else []
    if name in TRAITS:
        members = table.having(name)
        parts.append(f"**{name}** (trait)\n\n{TRAITS[name]}")  # type: ignore[index]
        parts.append(", ".join(f"`{member}`" for member in members))
        return "\n\n".join(parts)
    spellings = [d for d in analysis.declarations if isinstance(d, OpDecl) and d.name == name]
    if spellings:
        parts.append("other spellings" if row else f"**{name}** (family)")
        parts += [_declaration(analysis, spelling) for spelling in spellings]
    return "\n\n".join(parts)


def _native_page(name: str) -> str:
    found = native_entries().get(name)
    return native_section(found, linked=False) if found else ""


def _declared_page(analysis: Analysis, name: str) -> str:
    found = next((d for d in analysis.declarations if d.name == name), None)
    return _declaration(analysis, found) if found else ""


def _declaration(analysis: Analysis, declaration: Declaration) -> str:
    """Its first line, its description, the comment above it and, of a family, its alternatives."""
    text = format_declaration(declaration).split("\n    example:")[0]
    shown = text if isinstance(declaration, OpDecl) else text.split("\n")[0]
    parts = [f"```spq\n{shown}\n```"]
    if declaration.doc and not isinstance(declaration, OpDecl):
        parts.append(declaration.doc)
    if comment := _comment(analysis, declaration):
        parts.append(comment)
    return "\n\n".join([*parts, f"{declaration.span}"] if declaration.span else parts)


def _comment(analysis: Analysis, declaration: Declaration) -> str:
    """The comment right above a declaration of the file itself."""
    if declaration not in analysis.file.declarations or declaration.span is None:
        return ""
    lines = {c.line: c.text.lstrip("# ") for c in analysis.layout.comments if c.alone}
    first = declaration.span.line
    while first - 1 in lines:
        first -= 1
    return "\n".join(lines[n] for n in range(first, declaration.span.line))


def _binding_page(analysis: Analysis, word: Word) -> str:
    declaration = analysis.declaration_at(word)
    scope = scope_of(declaration) if declaration else None
    if scope is None or word.text not in scope:
        return ""
    statement = scope.statements.get(word.text)
    line = f"\n\n```spq\n{statement.span.text.strip()}\n```" if statement and statement.span else ""
    return f"**{word.text}**: {KIND_NAMES[scope.kinds[word.text]]}{line}"


def _keyword_page(word: Word) -> str:
    if word.text in BLOCKS:
        return f"**{word.text}**: it may have {', '.join(BLOCKS[word.text])}"
    usage = BLOCK_USAGE.get(word.text)
    if word.text == "where":
        return f"`{usage}`: {LINE_USAGE['condition']}"
    return f"`{usage}`" if usage else ""
