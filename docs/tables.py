"""Write the tables of inputs and outputs into the modules' READMEs, from the Terraform files.

``python docs/tables.py`` writes them between the markers. With ``--check`` it writes nothing, and fails
if a table is out of date.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from local.hcl import load  # noqa: E402 - after the path

BEGIN, END = "<!-- begin generated -->", "<!-- end generated -->"


def _blocks(file: Path, kind: str) -> dict[str, dict[str, Any]]:
    return {name: body for block in load(file).get(kind, []) for name, body in block.items()}


def _sentence(text: str) -> str:
    """Return a description in one line."""
    return " ".join(text.split()).replace("|", "\\|")


def tables(module: Path) -> str:
    """Return a module's tables in Markdown."""
    rows = ["### Inputs", "", "| name | description | required |", "|---|---|---|"]
    for name, body in sorted(_blocks(module / "variables.tf", "variable").items()):
        rows.append(f"| `{name}` | {_sentence(body['description'])} | {'no' if 'default' in body else 'yes'} |")
    rows += ["", "### Outputs", "", "| name | description |", "|---|---|"]
    for name, body in sorted(_blocks(module / "outputs.tf", "output").items()):
        rows.append(f"| `{name}` | {_sentence(body['description'])} |")
    return "\n".join([BEGIN, *rows, END])


def main() -> int:
    """Write or check the tables; return the process's exit status."""
    stale = []
    for readme in sorted(ROOT.glob("modules/*/README.md")):
        text = readme.read_text(encoding="utf-8")
        head, rest = text.split(BEGIN, 1)
        fresh = head + tables(readme.parent) + rest.split(END, 1)[1]
        if fresh != text:
            stale.append(readme)
            if "--check" not in sys.argv:
                readme.write_text(fresh, encoding="utf-8")
    if stale and "--check" in sys.argv:
        names = ", ".join(str(readme.relative_to(ROOT)) for readme in stale)
        sys.stderr.write(f"stale: {names}. Run: make fmt\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
