#!/usr/bin/env bash
# Does a real array run, and is it merged? Installs Slurm from Debian's packages (as root), starts a cluster of one
# node on this machine for as long as it takes, submits an array of four, and ends what it started.
# TRIAL is the program; built if left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ -z "${TRIAL:-}" ]; then
  (cd "$root" && cargo build --release --quiet -p trial)
  TRIAL=$root/target/release/trial
fi
TRIAL=$(realpath "$TRIAL")
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge; } >/dev/null
fi

work=$(mktemp -d)
chmod 755 "$work"
started=()
finish() {
  code=$?
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do kill "${started[$i]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  if [ $code -ne 0 ]; then tail -n 20 "$work"/*.log "$work"/*.txt >&2 || true; fi
  rm -rf "$work"
}
trap finish EXIT

# Keys, sockets and ports of its own: a Slurm that runs here already is left alone.
mkdir -m 700 "$work/munge" "$work/state" "$work/spool"
head -c 128 /dev/urandom >"$work/munge/key"
chmod 600 "$work/munge/key"
mkdir -m 755 "$work/run"
munged --foreground --force --key-file "$work/munge/key" --seed-file "$work/munge/seed" --pid-file "$work/run/munged.pid" \
  --socket "$work/run/munge" --log-file "$work/munged.log" >"$work/munged.out" 2>&1 &
started+=($!)

host=$(hostname -s)
port=$((20000 + RANDOM % 20000))
cat >"$work/slurm.conf" <<C
ClusterName=trial
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/run/munge
CredType=cred/munge
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/run/slurmctld.pid
SlurmdPidFile=$work/run/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=sched_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=12288 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
C
export SLURM_CONF=$work/slurm.conf
slurmctld -D -f "$SLURM_CONF" >"$work/slurmctld.out" 2>&1 &
started+=($!)
slurmd -D -f "$SLURM_CONF" -N "$host" >"$work/slurmd.out" 2>&1 &
started+=($!)

# until_done SECONDS WHAT COMMAND...: tries again until it succeeds.
until_done() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if [ $SECONDS -ge $end ]; then echo "$what: not within time" >&2; return 1; fi
    sleep 0.5
  done
}
idle() { [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; }
over() { [ -z "$(squeue -h 2>/dev/null || echo unknown)" ]; }
until_done 60 "the cluster" idle

cd "$work"
export TRIAL RESULTS=$work/results TRIAL_BASE=1
"$here/submit" --time "${TRIAL_TIME:-3s}" | tee submitted.txt
array=$(sed -n 's/^array \([0-9]*\),.*/\1/p' submitted.txt)
# While the array runs, the merge must wait for it.
squeue -h -n trial-merge -o %r | grep -q Dependency
until_done 240 "the array and its merge" over
python3 - "$work/results/$array/merged/summary.json" <<'P'
import json, sys
summary = json.load(open(sys.argv[1]))
assert summary["shards"] == [1, 2, 3, 4] and summary["of"] == 4, summary["shards"]
assert summary["runs"] > 0, summary
print(f"slurm: an array of 4 and its merge ran {summary['runs']} runs, exit {summary['exit']}")
P
