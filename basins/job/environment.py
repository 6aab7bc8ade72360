"""Sets the environment variables that `basins submit --env` sent with a job, on the cluster's machines."""

from __future__ import annotations

import json
import os
from pathlib import Path

from basins.errors import RunError

ENVIRONMENT = "BASINS_JOB_ENVIRONMENT"
"""The environment variable that names a JSON file in the working folder, with variables for the job and its workers. A
runtime environment's own `env_vars` are unsuitable for credentials, because Ray writes them into its logs."""


def adopt_environment() -> None:
    """Set the variables that were sent with the job, if any. Ray calls this in each worker as well."""
    if ENVIRONMENT in os.environ:
        file = Path(os.environ[ENVIRONMENT])
        try:
            file.chmod(0o600)  # Ray unpacks it readable by everyone on the machine
            os.environ.update(json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            what = f"the variables that were sent with the job cannot be read ({error})"
            raise RunError(what, where=str(file), remedy="submit the job again") from None
