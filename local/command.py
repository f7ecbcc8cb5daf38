"""Install the operator's command next to this checkout's Python: ``.venv/bin/payments``.

The project is not installed as a package: the functions' build could then include it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from local import ROOT

# A shell runs the second line, which starts the Python in the file's own folder. For Python, that line is a string.
SCRIPT = """#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"
' '''
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from ops.__main__ import main

sys.exit(main())
"""


def install(folder: Path) -> Path:
    """Write the command into a folder of programs."""
    command = folder / "payments"
    command.write_text(SCRIPT, encoding="utf-8")
    command.chmod(0o755)
    return command


if __name__ == "__main__":
    install(ROOT / ".venv" / "bin" if len(sys.argv) == 1 else Path(sys.argv[1]))
