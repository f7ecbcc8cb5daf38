"""The arguments that the AWS provider's newest major version accepts, for the types that this repository uses.

The registry publishes no schema as a file. The package ``cdktf-cdktf-provider-aws`` is generated from it, and names
each argument in a link to the registry's documentation. For a new type or a new release, write the file again::

    pip download --no-deps cdktf-cdktf-provider-aws
    python -m tests.plan.newest_provider cdktf_cdktf_provider_aws-*.whl
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import hcl2

from local import ROOT

FILE = Path(__file__).with_name("newest_provider.json")
KINDS = {"resource": "resources", "data": "data-sources"}
# Terraform's own arguments, allowed in any block.
META = {"count", "depends_on", "for_each", "lifecycle", "provider"}
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


def main(wheel: str) -> None:
    """Write the file from the package's wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (inner,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            text = package.extractfile("package/.jsii")
            links = LINK.findall(text.read()) if text else []
    taken: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, kind, type_, argument in links:
        taken[kind.decode(), f"aws_{type_.decode()}"].add(argument.decode())
    arguments = {name: sorted(taken[KINDS[name.split()[0]], name.split()[1]]) for name in sorted(used())}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in arguments.items())
    FILE.write_text(f'{{\n  "version": "{links[0][0].decode()}",\n{lines}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
