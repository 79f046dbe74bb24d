#!/usr/bin/env bash
# A SLURM of one node in the folder $1, from Debian's slurm-wlm and munge, as root: nothing in the system's own folders.
# Its clients find it through SLURM_CONF=$1/slurm.conf. `$0 FOLDER stop` ends it by its pid files.
set -euo pipefail
D=$(realpath -m "$1")
if [ "${2:-start}" = stop ]; then
    for name in slurmd slurmctld munged; do
        pid=$(cat "$D/$name.pid" 2>/dev/null || true)
        [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do  # a dead one that nobody reaps would look alive for ever
            [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    done
    exit 0
fi
mkdir -p "$D/state" "$D/spool" "$D/log"
H=$(hostname -s)
N=$(env -u OMP_NUM_THREADS nproc)
MEM=$(slurmd -C | sed -n 's/.*RealMemory=\([0-9]*\).*/\1/p')
dd if=/dev/urandom of="$D/munge.key" bs=1 count=128 status=none
chmod 600 "$D/munge.key"
cat > "$D/slurm.conf" <<CONF
ClusterName=ci
SlurmctldHost=$H(127.0.0.1)
SlurmctldPort=${SLURMCTLD_PORT:-16817}
SlurmdPort=${SLURMD_PORT:-16818}
AuthType=auth/munge
AuthInfo=socket=$D/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool
SlurmctldPidFile=$D/slurmctld.pid
SlurmdPidFile=$D/slurmd.pid
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=15
MinJobAge=600
JobRequeue=1
MailProg=/bin/true
NodeName=$H NodeAddr=127.0.0.1 CPUs=$N Sockets=1 CoresPerSocket=$N ThreadsPerCore=1 RealMemory=$MEM State=UNKNOWN
PartitionName=low Nodes=$H Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high Nodes=$H MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF
echo CgroupAutomount=no > "$D/cgroup.conf"
export SLURM_CONF=$D/slurm.conf
munged --force --key-file="$D/munge.key" --socket="$D/munge.socket" --pid-file="$D/munged.pid" \
    --log-file="$D/log/munged.log" --seed-file="$D/munged.seed"
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF"
for _ in $(seq 100); do
    [ "$(sinfo -h -o %T -p low 2>/dev/null)" != idle ] || exit 0
    sleep 0.1
done
echo "the node did not come up; see $D/log" >&2
exit 1
