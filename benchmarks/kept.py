"""What benchmarks have written down, and how it is shown."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def read(name: str) -> Any:
    """Read a benchmark's file; None where it has not been run."""
    path = HERE / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def number(value: float) -> str:
    """Show a number with three figures."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
