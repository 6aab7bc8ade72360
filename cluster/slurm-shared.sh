#!/bin/bash
# An experiment on parts of nodes that others use too: sbatch cluster/slurm-shared.sh EXPERIMENT --out RUN [...]
# What follows the script's name is what `basins run` takes; RUN is a path that every node sees, or a store's URI.
# docs/cluster/slurm.md says the rest.
#SBATCH --job-name=basins
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
set -euo pipefail

source "${BASINS_VENV:-$SLURM_SUBMIT_DIR/.venv}/bin/activate"
export RAY_USAGE_STATS_ENABLED=0
# Without both of these Ray would start open to everyone who reaches the nodes.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
ip=${HEAD_IP:-$(srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname -I | cut -d ' ' -f 1)}
# Others may run a Ray on the same nodes: ports by the job's number, files under a name of our own.
port=$((20000 + SLURM_JOB_ID % 10000))
common=(--num-cpus="${SLURM_CPUS_PER_TASK:-1}" --object-store-memory=80000000 --min-worker-port=0 --max-worker-port=0
    --disable-usage-stats --block)
steps=()

start_ray() {  # NODE then what `ray start` takes there
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" ray start "${common[@]}" "${@:2}" &
    steps+=($!)
}

end_ray() {
    kill "${steps[@]}" 2> /dev/null || true
    wait "${steps[@]}" 2> /dev/null || true
}
trap end_ray EXIT

start_ray "${nodes[0]}" --head --node-ip-address="$ip" --port="$port" --include-dashboard=false \
    --ray-client-server-port=$((port + 10000)) --temp-dir="/tmp/ray-$USER-$SLURM_JOB_ID"
for ((second = 0; ; second += 2)); do
    ray status --address "$ip:$port" > /dev/null 2>&1 && break
    kill -0 "${steps[0]}" 2> /dev/null || { echo "error: Ray did not start on ${nodes[0]}" >&2; exit 1; }
    ((second < 120)) || { echo "error: Ray on ${nodes[0]} does not answer after 120 s" >&2; exit 1; }
    sleep 2
done
for node in "${nodes[@]:1}"; do
    start_ray "$node" --address="$ip:$port"
done

# Slurm's TERM (two minutes before the time is up, or when the job is cancelled or preempted) goes on to the job, which
# keeps what is done and ends; the same script goes on from there.
python -m basins.job "$@" --address "$ip:$port" &
job=$!
trap 'kill -TERM "$job"' TERM
code=0
wait "$job" || code=$?
while kill -0 "$job" 2> /dev/null; do
    code=0
    wait "$job" || code=$?
done
exit "$code"
