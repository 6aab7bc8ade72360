"""What lies in cluster/: each file as far as it can be checked without a cluster, and that none starts an open Ray.

rayjob-v1-schema.json.gz is the v1 schema of KubeRay's ray.io_rayjobs.yaml (Apache-2.0), as JSON, unchanged. A schema
lets misspelt keys pass unless it is told not to; KubeRay's own rules beyond it (CEL, Go) are not run here.
"""

from __future__ import annotations

import copy
import gzip
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import basins

ROOT = Path(basins.__file__).parents[1]
CLUSTER = ROOT / "cluster"
SCHEMA = Path(__file__).with_name("rayjob-v1-schema.json.gz")
ORIGINAL = ROOT.parent / "shared" / "kuberay" / "ray.io_rayjobs.yaml"
PINNED = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
RAY_UP = ("aws.yaml", "on-premise.yaml")
SLURM = ("slurm-exclusive.sh", "slurm-shared.sh")


def strict(schema: Any) -> Any:
    """The schema, made to refuse unknown keys."""
    if isinstance(schema, dict):
        schema = {key: strict(value) for key, value in schema.items()}
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields", False))
    return [strict(value) for value in schema] if isinstance(schema, list) else schema


@pytest.fixture(scope="module")
def errors() -> Callable[[Any], list[str]]:
    """errors(rayjob): the schema's objections to it."""
    found = strict(json.loads(gzip.decompress(SCHEMA.read_bytes())))
    found["properties"]["metadata"] = {"type": "object"}  # the API server's own, which the CRD leaves open
    validator = jsonschema.Draft202012Validator(found)  # the schema itself is not validated
    return lambda rayjob: [error.message for error in validator.iter_errors(rayjob)]


@pytest.fixture(scope="module")
def rayjob() -> Any:
    return yaml.safe_load((CLUSTER / "rayjob.yaml").read_text())


# --- KubeRay ---------------------------------------------------------------------------------------------------------


def test_the_rayjob_is_valid(rayjob: Any, errors: Callable[[Any], list[str]]) -> None:
    assert (rayjob["apiVersion"], rayjob["kind"]) == ("ray.io/v1", "RayJob")
    assert errors(rayjob) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "entryPoint"], "python"),
        (["spec", "rayClusterSpec", "enableInTreeAutoscaling"], "yes"),
        (["spec", "rayClusterSpec", "authOptions", "mode"], "tokens"),
        (["spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"], 0),
        (["spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplica"], 3),
        (["spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "images"], "x"),
    ],
)
def test_the_schema_refuses_errors(
    rayjob: Any, errors: Callable[[Any], list[str]], path: list[Any], value: object
) -> None:
    wrong = copy.deepcopy(rayjob)
    inner = wrong
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert len(errors(wrong)) == 1


def test_the_schema_is_that_of_kuberay() -> None:
    if not ORIGINAL.is_file():
        pytest.skip("the CRD itself is not beside this repository")
    document = yaml.load(ORIGINAL.read_text(), yaml.CSafeLoader)
    [v1] = [version for version in document["spec"]["versions"] if version["name"] == "v1"]
    assert json.loads(gzip.decompress(SCHEMA.read_bytes())) == v1["schema"]["openAPIV3Schema"]


def test_the_rayjob_autoscales_and_requires_a_token(rayjob: Any) -> None:
    spec = rayjob["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["rayVersion"] == PINNED["ray"]
    assert spec["enableInTreeAutoscaling"] is True
    [workers] = spec["workerGroupSpecs"]
    assert workers["minReplicas"] == 0 < workers["maxReplicas"]
    groups = [spec["headGroupSpec"], workers]
    assert len({container["image"] for group in groups for container in group["template"]["spec"]["containers"]}) == 1
    mounted = [one["mountPath"] for one in groups[0]["template"]["spec"]["containers"][0]["volumeMounts"]]
    assert Path(shlex.split(rayjob["spec"]["entrypoint"])[3]).parent == Path(mounted[0])


# --- ray up ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RAY_UP)
def test_ray_up_accepts_the_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own schema, with its defaults filled in; `local` writes a state file, into a home folder of the test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((CLUSTER / name).read_text())
    validate_config(prepare_config(copy.deepcopy(config)))
    for key, value in (("head_start_ray_command", []), ("max_workers", "many"), ("provider", {"kind": "aws"})):
        wrong = {**copy.deepcopy(config), key: value}
        with pytest.raises((jsonschema.ValidationError, KeyError, ValueError, TypeError)):
            validate_config(prepare_config(wrong))


@pytest.mark.parametrize("name", RAY_UP)
def test_ray_up_starts_no_open_ray(name: str) -> None:
    config = yaml.safe_load((CLUSTER / name).read_text())
    targets = {Path(target).name for target in config["file_mounts"]}
    assert "auth_token" in targets
    for role in ("head", "worker"):
        starts = [line for line in config[f"{role}_start_ray_commands"] if "ray start" in line]
        assert len(starts) == 1
        before, _, after = starts[0].partition("ray start")
        assert "RAY_AUTH_MODE=token" in before
        assert 'RAY_AUTH_TOKEN_PATH="$HOME/.ray/auth_token"' in before
        assert ("--head" in after) == (role == "head")
    assert "--dashboard-host=127.0.0.1" in "".join(config["head_start_ray_commands"])


# --- Slurm -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SLURM)
def test_slurm_starts_no_open_ray(name: str) -> None:
    text = (CLUSTER / name).read_text()
    subprocess.run(["bash", "-n", str(CLUSTER / name)], check=True)
    begins = re.search(r"^ *(ray symmetric-run|srun .*ray start|start_ray )", text, re.MULTILINE)
    assert begins is not None
    before = text[: begins.start()]
    assert re.search(r"^export RAY_AUTH_MODE=token$", before, re.MULTILINE)
    assert re.search(r"^RAY_AUTH_TOKEN=\$\(python -c 'import secrets; .*token_hex\(32\)\)'\)$", before, re.MULTILINE)
    assert re.search(r"^export RAY_AUTH_TOKEN$", before, re.MULTILINE)


# --- the container ---------------------------------------------------------------------------------------------------


def test_the_container_has_the_pinned_ray_and_copies_existing_files() -> None:
    text = re.sub(r"\\\n", " ", (CLUSTER / "Containerfile").read_text())
    instructions = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    known = {"ARG", "FROM", "COPY", "RUN", "ENV", "WORKDIR"}
    assert {one[0] for one in instructions} == known
    arguments = dict(one[1].split("=") for one in instructions if one[0] == "ARG")
    assert arguments["RAY"] == PINNED["ray"]
    minor = f"3.{arguments['PYTHON'].removeprefix('py3')}"
    assert f'"Programming Language :: Python :: {minor}"' in (ROOT / "pyproject.toml").read_text()
    copied = [source for one in instructions if one[0] == "COPY" for source in one[2:-1]]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert ["ENV", "RAY_AUTH_MODE=token", "RAY_USAGE_STATS_ENABLED=0"] in instructions


# --- all -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rayjob.yaml", *SLURM])
def test_all_run_the_same_entry_point(name: str) -> None:
    from basins import job

    assert f"python -m {job.__name__} " in (CLUSTER / name).read_text()


def test_every_file_is_checked_here() -> None:
    assert {path.name for path in CLUSTER.iterdir()} == {"Containerfile", "rayjob.yaml", *RAY_UP, *SLURM}
