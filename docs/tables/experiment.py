"""Write docs/experiment.md and docs/experiment.schema.json, the reference of an experiment's keys, from the code.

python docs/tables/experiment.py
"""

from __future__ import annotations

from pathlib import Path

from basins.experiment import reference

DOCS = Path(__file__).parents[1]

if __name__ == "__main__":
    (DOCS / "experiment.md").write_text(reference.markdown())
    (DOCS / "experiment.schema.json").write_text(reference.schema_text())
