"""The arguments that the AWS provider's newest major version accepts, for the types that this repository uses.

The registry publishes no schema as a file. Two packages are generated from it. One names each argument in a link to the
registry's documentation, the other marks what is deprecated. After a new type or a new release, write the file again::

    npm pack @cdktn/provider-aws
    pip download --no-deps pulumi-aws
    python -m tests.plan.newest_provider cdktn-provider-aws-*.tgz pulumi_aws-*.whl
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hcl2

from local import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).with_name("newest_provider.json")
KINDS = {"resource": "resources", "data": "data-sources"}
# Terraform's own arguments, allowed in any block.
META = {"count", "depends_on", "for_each", "lifecycle", "provider"}
# Where the second package has another name for a type.
RENAMED = {
    "aws_api_gateway_gateway_response": "pulumi_aws/apigateway/response.py",
    "aws_codedeploy_app": "pulumi_aws/codedeploy/application.py",
    "aws_sqs_queue_redrive_policy": "pulumi_aws/sqs/redrive_policy.py",
}
LINK = re.compile(rb"hashicorp/aws/([0-9.]+)/docs/(resources|data-sources)/([a-z0-9_]+)#([a-z0-9_]+)")


def used() -> dict[str, set[str]]:
    """Return the arguments that the HCL gives to each type, including those in nested blocks, by ``kind type``."""
    found: dict[str, set[str]] = defaultdict(set)
    folders = [ROOT, ROOT / "bootstrap", *ROOT.glob("modules/*"), *ROOT.glob("examples/*")]
    for file in (file for folder in folders for file in folder.glob("*.tf")):
        parsed = hcl2.loads(file.read_text(encoding="utf-8"))
        for kind in KINDS:
            for block in parsed.get(kind, []):
                for type_, named in block.items():
                    for body in named.values():
                        found[f"{kind} {type_.strip(chr(34))}"] |= _arguments(body) - META
    return {name: arguments for name, arguments in found.items() if name.split()[1].startswith("aws_")}


def _arguments(body: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for name, value in body.items():
        if name.startswith("__") or name == "lifecycle":
            continue
        if name == "dynamic":
            for block in value:
                for label, inner in block.items():
                    found |= {label.strip('"')}
                    found |= {argument for content in inner["content"] for argument in _arguments(content)}
            continue
        found.add(name)
        # The parser marks the objects of a block. An unmarked list of objects is a value, not a block.
        for inner in value if isinstance(value, list) else []:
            if isinstance(inner, dict) and "__is_block__" in inner:
                found |= _arguments(inner)
    return found


def main(bindings: str, marks: str) -> None:
    """Write the file from the two packages."""
    with tarfile.open(bindings) as package:
        text = package.extractfile("package/.jsii")
        links = LINK.findall(text.read()) if text else []
    taken: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, kind, type_, argument in links:
        taken[kind.decode(), f"aws_{type_.decode()}"].add(argument.decode())
    names = sorted(used())
    arguments = {name: sorted(taken[KINDS[name.split()[0]], name.split()[1]]) for name in names}
    written = {
        "version": links[0][0].decode(),
        "arguments": arguments,
        "deprecated": {name: found for name in names if (found := deprecated(Path(marks), name))},
    }
    FILE.write_text(_lines(written), encoding="utf-8")


def deprecated(wheel: Path, name: str) -> list[str]:
    """Return a type's deprecated arguments, and those of its blocks as CLASS.ARGUMENT."""
    kind, type_ = name.split()
    if kind == "data":
        return []
    wanted = type_.removeprefix("aws_")
    with zipfile.ZipFile(wheel) as package:
        files = [file for file in package.namelist() if file.endswith(".py") and file.count("/") == 2]
        # API Gateway and Lambda are written apigateway and lambda_, and what is EC2's has no prefix in Terraform.
        fitting = [file for file in files if _plain(file[11:-3]) == _plain(wanted)] or [f"pulumi_aws/ec2/{wanted}.py"]
        fitting = [RENAMED.get(type_, file) for file in fitting]
        source = ast.parse(package.read(fitting[0]))
        blocks = ast.parse(package.read(f"{fitting[0].rsplit('/', 1)[0]}/_inputs.py"))
    (name_of,) = (each.name for each in _classes(source) if "pulumi.CustomResource" in map(ast.unparse, each.bases))
    own = [argument for of, argument in _marked(source) if of == name_of]
    return sorted(own + [f"{of}.{argument}" for of, argument in _marked(blocks) if of.startswith(name_of)])


def _plain(name: str) -> str:
    return re.sub("[/_]", "", name)


def _classes(module: ast.Module) -> list[ast.ClassDef]:
    return [statement for statement in module.body if isinstance(statement, ast.ClassDef)]


def _marked(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the class (without Args) and the argument of each mark in a generated module."""
    for of in _classes(module):
        if of.name.endswith("Args") and not of.name.startswith("_"):
            for argument in of.body:
                if isinstance(argument, ast.FunctionDef) and any(map(_is_mark, argument.decorator_list)):
                    yield of.name.removesuffix("Args"), argument.name


def _is_mark(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "_utilities.deprecated"


def _lines(written: dict[str, Any]) -> str:
    """Return the JSON with one line for each type."""
    parts = [f'  "version": {json.dumps(written["version"])}']
    for part in ("arguments", "deprecated"):
        inner = ",\n".join(f"    {json.dumps(name)}: {json.dumps(found)}" for name, found in written[part].items())
        parts.append(f'  "{part}": {{\n{inner}\n  }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
