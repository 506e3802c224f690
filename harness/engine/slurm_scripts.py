"""Shell scripts for a login node of Slurm, which call Slurm's commands and use files in scratch."""

from __future__ import annotations

from harness.hosts.slurm.connection import COMMANDS

MAKE = r"""
jobs=$1 name=$2
job=$jobs/$name
shift 2
umask 022
mkdir -p -- "$jobs" || exit 74
for mount in "$@"; do
  shift
  [ "$mount" = -- ] && break
  [ -e "$mount" ] || { echo "$mount does not exist" >&2; exit 78; }
done
if [ -d "$job" ]; then
  cat > /dev/null
else
  staging=$(mktemp -d "$jobs/.staging-$name-XXXXXX") || exit 74
  trap 'rm -rf -- "$staging"' EXIT
  tar -xf - -C "$staging" --no-same-owner && chmod 755 "$staging" || exit 74
  mv -T -- "$staging" "$job" 2>/dev/null || [ -d "$job" ] || exit 74
fi
exec 9> "$job/lock" && flock -w 100 9 || exit 73
if [ ! -s "$job/number" ]; then
  queued=$(squeue --noheader --user="$(id -u)" --name="$name" --format=%A) || exit 75
  number=${queued%%[!0-9]*}
  [ -n "$number" ] || number=$("$@" < "$job/batch.sh") || exit 76
  [ -s "$job/number" ] || { echo "${number%%;*}" > "$job/number.part" && mv -f "$job/number.part" "$job/number"; }
fi
cat "$job/number"
"""
"""JOBS NAME PATH… -- COMMAND…: make a job's folder from a tar on stdin and submit it, both once; print its number.

Exit codes: 73: its lock is held; 74: the folder cannot be made; 75: squeue failed; 76: the job was not submitted; 78: a
PATH does not exist.
"""
LOOK = r"""
jobs=$1 format=$2
shift 2
squeue --noheader --states=all --user="$(id -u)" --format="$format" || exit 75
echo --
for name; do
  job=$jobs/$name
  [ -f "$job/job.json" ] && is=there || is=gone
  if [ ! -e "$job/results/outcome.json" ]; then
    # Over NFS a folder's content may be old: a change of our own makes the client ask for it.
    mkdir "$job/.look" 2>/dev/null && rmdir "$job/.look"
    mkdir "$job/results/.look" 2>/dev/null && rmdir "$job/results/.look"
  fi
  [ -e "$job/results/outcome.json" ] && outcome=yes || outcome=no
  printf '%s\0%s\0%s\0' "$name" "$is" "$outcome"
  for file in number process.json refused.json; do
    head -c 8192 "$job/$file" 2>/dev/null | tr -d '\000'
    printf '\0'
  done
done
"""
"""JOBS FORMAT NAME…: print the queue, and the state of each job's folder."""
ASK_ENDED = r"""
all=$1
shift
if found=$(sacct --noheader --parsable2 --allocations --jobs="$all" --format="$1" 2>/dev/null) && [ -n "$found" ]; then
  echo accounting
  printf '%s\n' "$found"
  exit 0
fi
shift
echo controller
for number; do scontrol --oneliner show job "$number" 2>/dev/null; done
exit 0
"""
"""ALL FORMAT NUMBER…: print ended jobs from the accounting; without one, from the controller."""
LIST = r"""
for file in "$1"/*/job.json; do [ -f "$file" ] && head -c 262144 "$file" && echo; done
echo --
exec squeue --noheader --user="$(id -u)" --format="%A|%j|%k"
"""
"""JOBS: print the description of each job that has a folder, and the queue."""
END = r"""
jobs=$1
shift
user=$(id -u)
all=$(IFS=,; echo "$*")
looks=0
while :; do
  left=$(squeue --noheader --user="$user" --name="$all" --format=%A) || exit 75
  [ -n "$left" ] || break
  if [ $looks = 0 ]; then
    for name; do
      scancel --quiet --user="$user" --name="$name" --full --signal=KILL 2>/dev/null
      scancel --quiet --user="$user" --name="$name" || exit 75
    done
  fi
  looks=$((looks + 1))
  [ $looks -gt 150 ] && { echo "jobs do not end: $left" >&2; exit 77; }
  if [ $looks -lt 20 ]; then sleep 0.2; else sleep 1; fi
done
for name; do [ -f "$jobs/$name/job.json" ] && head -c 262144 "$jobs/$name/job.json" && echo; done
exit 0
"""
"""JOBS NAME…: cancel jobs, wait until the queue has none of them, print each description.

Exit code 77: a job does not end.
"""
TRASH = r"""
jobs=$1
shift
for name; do [ -d "$jobs/$name" ] && mv -T -- "$jobs/$name" "$jobs/.trash-$name-$$"; done
for folder in "$jobs"/.trash-*; do
  [ -d "$folder" ] || continue
  rm -rf -- "$folder" 2>/dev/null && continue
  find "$folder" -type d ! -perm -u=rwx -exec chmod u+rwx -- {} \;
  rm -rf -- "$folder"
done
find "$jobs" -maxdepth 1 -name '.staging-*' -mmin +60 -exec rm -rf -- {} + 2>/dev/null
find "${jobs%/jobs}/COMMANDS" -mindepth 1 -maxdepth 1 -mmin +2880 -exec rm -rf -- {} + 2>/dev/null
exit 0
""".replace("COMMANDS", COMMANDS)
"""JOBS NAME…: remove the folders of jobs, and incomplete folders of interrupted commands."""
