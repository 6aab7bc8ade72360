"""The environment variables that `basins submit --env` sends along with a job, taken over on a cluster's machines."""

from __future__ import annotations

import json
import os
from pathlib import Path

from basins.errors import RunError

ENVIRONMENT = "BASINS_JOB_ENVIRONMENT"
"""Names a JSON file in the working folder: variables for the job and its workers. A runtime environment's own
`env_vars` will not do for credentials: Ray writes them into its logs."""


def adopt_environment() -> None:
    """Take over the variables that the job brought along, if it did. Ray calls this in each worker as well."""
    if ENVIRONMENT in os.environ:
        file = Path(os.environ[ENVIRONMENT])
        try:
            file.chmod(0o600)  # Ray unpacks what everyone on the machine may read
            os.environ.update(json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            what = f"the variables that were sent along cannot be read ({error})"
            raise RunError(what, where=str(file), remedy="submit the job again") from None
