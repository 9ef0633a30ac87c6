#!/bin/bash
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
# A campaign on the nodes of one Slurm job: a Ray cluster that lives as long as the job does. Submit the same script again
# and it goes on from the database. THEOROS_DATABASE is a PostgreSQL URL (the password in ~/.pgpass); 600 s before the
# time is over Slurm sends the signal with which theoros lets running evaluations end.
set -euo pipefail
port=${RAY_PORT:-6379}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
# One token for all nodes, from the shared home directory; without it anybody on the network could run code here.
export RAY_AUTH_MODE=token
ray get-auth-token --generate >/dev/null

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --block --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats &
until ray health-check --address "$head:$port" >/dev/null 2>&1; do sleep 1; done
if ((SLURM_JOB_NUM_NODES > 1)); then
    others=$((SLURM_JOB_NUM_NODES - 1))
    srun --nodes="$others" --ntasks="$others" --exclude="$head" \
        ray start --block --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats &
fi

# Nodes that come later are found and used. `exec`, so that Slurm's signal reaches theoros and not this shell.
exec theoros run campaign.yaml --address "$head:$port"
