"""Each example in docs/data.md is read, or refused, as the page says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from basins.errors import DataError
from basins.experiment.data import load
from basins.experiment.document import FileData

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
EXAMPLES = re.findall(r"```csv\n(.*?)```\n+```toml\n(.*?)```\n+```text\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize(("table", "keys", "said"), EXAMPLES)
def test_an_example_is_read_as_the_page_says(tmp_path: Path, table: str, keys: str, said: str) -> None:
    (tmp_path / "table.csv").write_text(table)
    try:
        data = load({"path": "table.csv", **tomllib.loads(keys)}, tmp_path)
        lines = [data.description, *data.reading]
    except DataError as refusal:
        lines = [str(refusal).replace(f"{tmp_path}/", "")]
    assert lines == said.splitlines()


def test_the_page_has_examples_and_every_key_of_a_file() -> None:
    assert len(EXAMPLES) == 3
    for key in FileData.model_fields:
        assert f"`{key}`" in PAGE, key
