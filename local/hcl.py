"""Read HCL with python-hcl2: tfvars files, and the content of a module's files without a plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import hcl2
from hcl2.query import DocumentView
from hcl2.rules.base import BlockRule
from hcl2.rules.containers import ObjectElemRule, ObjectRule, TupleRule
from hcl2.rules.functions import FunctionCallRule
from hcl2.utils import SerializationOptions
from lark.exceptions import LarkError

from local import ROOT, LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# python-hcl2 types every view as its base class, which lacks the views' own members.
View = Any
# Values as Python has them, rather than as HCL writes them.
_VALUES = SerializationOptions(
    with_comments=False, explicit_blocks=False, preserve_heredocs=False, strip_string_quotes=True
)

# The names that a value may have, and the shape of each one's value; None where no names are known.
Shape = dict[str, Any] | None
# Stands for every key of a map, and for every element of a list or set.
EACH = "*"


def load(file: Path) -> dict[str, Any]:
    """Return a file's attributes and blocks. Raises LocalError for a file that is not HCL."""
    try:
        return hcl2.loads(file.read_text(encoding="utf-8"), serialization_options=_VALUES)
    except LarkError as error:
        raise LocalError(f"{_name(file)} cannot be read: {error}") from error


def _name(file: Path) -> Path:
    return file.relative_to(ROOT) if file.is_relative_to(ROOT) else file


@dataclass(frozen=True)
class Module:
    """A folder of Terraform files. Which file holds what does not matter."""

    folder: Path

    @cached_property
    def _documents(self) -> list[DocumentView]:
        return [DocumentView.parse(file.read_text(encoding="utf-8")) for file in sorted(self.folder.glob("*.tf"))]

    def blocks(self, *labels: str) -> list[View]:
        """Return the blocks of a type with these labels."""
        return [block for document in self._documents for block in document.blocks(*labels)]

    def local(self, name: str) -> Any:  # noqa: ANN401 - any HCL value
        """Return a local value."""
        return self._attribute(self.blocks("locals"), name, f"local.{name}")

    def attribute(self, *labels: str, name: str) -> Any:  # noqa: ANN401 - any HCL value
        """Return an attribute of a block, for instance of a resource."""
        return self._attribute(self.blocks(*labels), name, ".".join((*labels, name)))

    def lists(self, *labels: str, name: str) -> list[Any]:
        """Return the lists that are written out in an attribute's expression, from left to right."""
        (attribute,) = [attribute for block in self.blocks(*labels) for attribute in block.attributes(name)]
        return [found.to_dict(_VALUES) for found in attribute.find_all(TupleRule)]

    def nested(self, *labels: str, inside: str) -> list[dict[str, Any]]:
        """Return the attributes of the blocks of a type inside a block, however deep."""
        found = [block for outer in self.blocks(*labels) for block in outer.find_all(BlockRule)]
        return [
            {attribute.name: attribute.value_node.to_dict(_VALUES) for attribute in block.attributes()}
            for block in found
            if block.block_type == inside
        ]

    def default(self, variable: str, *path: str) -> Any:  # noqa: ANN401 - any HCL value
        """Return a variable's default, or that of an optional attribute in its type."""
        if not path:
            return self.attribute("variable", variable, name="default")
        nodes: list[View] = [*self.blocks("variable", variable)]
        for name in path:
            elements = [element for node in nodes for element in node.find_all(ObjectElemRule)]
            nodes = [element for element in elements if element.raw.key.serialize() == name]
        calls = [call for node in nodes for call in node.find_all(FunctionCallRule)[:1]]
        return self._only([call.args[1] for call in calls if call.args[1:]], ".".join((variable, *path)))

    def optional(self, variable: str) -> list[str]:
        """Return the attributes in a variable's type that have a default."""
        elements = [found for block in self.blocks("variable", variable) for found in block.find_all(ObjectElemRule)]
        return [found.raw.key.serialize() for found in elements if found.find_all(FunctionCallRule)]

    def variables(self) -> dict[str, Any]:
        """Return the shape of every variable."""
        found: list[View] = [block for document in self._documents for block in document.blocks("variable")]
        return {
            block.name_labels[0]: _shape(attribute.value_node.raw)
            for block in found
            for attribute in block.attributes("type")
        }

    def entries(self, name: str) -> list[str]:
        """Return what the objects in the files give to a name, as HCL writes it, without the quotes of a string."""
        elements: list[View] = [found for document in self._documents for found in document.find_all(ObjectElemRule)]
        return [
            str(element.raw.expression.serialize(_VALUES))
            for element in elements
            if element.raw.key.serialize() == name
        ]

    def _attribute(self, blocks: list[View], name: str, what: str) -> Any:  # noqa: ANN401
        attributes = [attribute for block in blocks for attribute in block.attributes(name)]
        return self._only([attribute.value_node for attribute in attributes], what)

    def _only(self, found: list[View], what: str) -> Any:  # noqa: ANN401
        if len(found) != 1:
            raise LocalError(f"{_name(self.folder)} must give {what} one value, not {len(found)}")
        return found[0].to_dict(_VALUES)


def _shape(term: View) -> Shape:
    """Return the shape of a type's values."""
    if not isinstance(getattr(term, "expression", None), FunctionCallRule):
        return None
    call: View = term.expression
    (kind,), (argument, *_) = (name.serialize() for name in call.identifiers), call.arguments.arguments
    if kind == "optional":
        return _shape(argument)
    if kind in {"map", "list", "set"}:
        return {EACH: _shape(argument)}
    if not isinstance(argument.expression, ObjectRule):
        return None
    return {element.key.serialize(): _shape(element.expression) for element in argument.expression.elements}


def unknown_names(value: Any, shape: Shape, *path: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:  # noqa: ANN401
    """Yield the path to each name in a value that its shape does not have, with the names that it could have been."""
    if shape is None:
        return
    if EACH in shape:
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, child in children:
            yield from unknown_names(child, shape[EACH], *path, str(name))
    elif isinstance(value, dict):
        for name, child in value.items():
            if name in shape:
                yield from unknown_names(child, shape[name], *path, name)
            else:
                yield (*path, name), list(shape)
