#!/bin/bash
# An experiment on whole nodes of a Slurm cluster: sbatch cluster/slurm-exclusive.sh EXPERIMENT --out RUN [...]
# What follows the script's name is what `basins run` takes; RUN is a path that every node sees, or a store's URI.
# Whole nodes only: `ray symmetric-run` ends with `ray stop`, which stops every Ray of the user on a node, and refuses
# a node where one runs already. docs/cluster/slurm.md says the rest.
#SBATCH --job-name=basins
#SBATCH --exclusive
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail

source "${BASINS_VENV:-$SLURM_SUBMIT_DIR/.venv}/bin/activate"
export RAY_USAGE_STATS_ENABLED=0
# Without both of these Ray would start open to everyone who reaches the nodes.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
ip=${HEAD_IP:-$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname -I | cut -d ' ' -f 1)}
address=$ip:$((20000 + SLURM_JOB_ID % 10000))
# symmetric-run exits with 0 where Ray did not start at all, so the job's own status goes by a file.
status=$(mktemp -p "$SLURM_SUBMIT_DIR" .basins-status.XXXXXX)
trap 'rm -f "$status"' EXIT

# shellcheck disable=SC2016  # the inner shell expands them
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$SLURM_CPUS_ON_NODE" \
    --object-store-memory=80000000 -- \
    bash -c 'python -m basins.job "${@:2}"; echo $? > "$1"' job "$status" "$@" --address "$address" || true
code=$(cat "$status")
exit "${code:-1}"
