"""What the scripts in tests/fixtures that run another project share."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def record(doc: str | None, project: str, out: Path, measure: Callable[[Path], dict[str, Any]], **more: Any) -> None:
    """Run a maker's command line: measure the cases in `--peer`, a checkout of the project, and write them.

    Args:
        doc: the maker's docstring, which is its help.
        project: whose checkout is measured.
        out: the file.
        measure: returns {name of a case: numbers} of a checkout.
        more: what else stands in the file; then the cases are its "cases".
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help=f"a checkout of {project}")
    cases = measure(parser.parse_args().peer)
    with gzip.open(out, "wb") as file:
        torch.save({**more, "cases": cases} if more else cases, file)
    print(f"{len(cases)} cases, {out.stat().st_size / 1024:.0f} KiB: {out}")
