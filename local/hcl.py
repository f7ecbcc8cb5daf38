"""Read HCL with python-hcl2: tfvars files, and what a module's own files say without a plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import hcl2
from hcl2.query import DocumentView
from hcl2.rules.base import BlockRule
from hcl2.rules.containers import ObjectElemRule, TupleRule
from hcl2.rules.functions import FunctionCallRule
from hcl2.utils import SerializationOptions
from lark.exceptions import LarkError

from local import ROOT, LocalError

if TYPE_CHECKING:
    from pathlib import Path

# python-hcl2 types every view as its base class, which has none of what they offer.
View = Any
# Values as Python has them, rather than as HCL writes them.
_VALUES = SerializationOptions(
    with_comments=False, explicit_blocks=False, preserve_heredocs=False, strip_string_quotes=True
)


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

    def local(self, name: str) -> Any:  # noqa: ANN401 - whatever HCL can hold
        """Return a local value."""
        return self._attribute(self.blocks("locals"), name, f"local.{name}")

    def attribute(self, *labels: str, name: str) -> Any:  # noqa: ANN401 - whatever HCL can hold
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

    def default(self, variable: str, *path: str) -> Any:  # noqa: ANN401 - whatever HCL can hold
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
