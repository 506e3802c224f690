#!/usr/bin/env bash
# run_all.sh [quick]: every check and test, part by part; each prints its minutes. What could not run is named at the
# end, and what failed. `quick` runs what needs no engine, no sshd, no browser, no TensorFlow and less than ten
# seconds a test, and changes nothing on the machine.
#
# A new part is one line at the end of this file: `part NAME COMMAND …`; where it waits most of the time, `begin NAME
# COMMAND …` early and `part … await NAME` later. Its tests have a marker (pyproject.toml), and PURE leaves that out.
set -uo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} -rs" # a test that is skipped is named, with its reason
results=() failed=0 notes=() faults=()
logs=$(mktemp -d) # by part: what it said; and what its tests noted (tests/conftest.py)

part() {
	local name=$1 begun=$SECONDS outcome=ok code=0 took
	shift
	echo "── $name"
	cpu_s=0
	HARNESS_TEST_NOTES=$logs/$name "$@" || code=$?
	[ $code = 0 ] || outcome=FAILED failed=1
	explain "$name" $code
	took=$((SECONDS - begun))
	results+=("$(printf '%-32s %-7s %2d min %02d s' "$name" $outcome $((took / 60)) $((took % 60)))")
	[ $cpu_s = 0 ] || results[-1]+=$(printf ', %d s of CPU' $cpu_s)
}

# What failed in a part; where nothing did, and yet it ended badly, which test it was that took the process with it.
explain() {
	local name=$1 code=$2 test end="exit code $2"
	[ ! -s "$logs/$name.cpu" ] || cpu_s=$((cpu_s + $(<"$logs/$name.cpu")))
	while read -r test; do faults+=("failed: $test"); done < <(cat "$logs/$name.failed" 2>/dev/null)
	if [ "$code" = 0 ] || [ -s "$logs/$name.failed" ]; then return; fi
	[ "$code" -le 128 ] || end="signal $((code - 128)), SIG$(kill -l $((code - 128)))"
	[ ! -s "$logs/$name.running" ] || faults+=("died: $name, of $end, in $(<"$logs/$name.running")")
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ -z "${HARNESS_NO_APT:-}" ]; }
has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

# What the tests need of the machine: said first, then installed. Without root, without apt and with HARNESS_NO_APT=1
# nothing is changed, and the parts that lack something are named at the end.
prepare_machine() {
	local wanted=() pair engine=no owner=/tmp/harness.lock/owner
	[ -e $owner ] && echo "a session holds this machine ($(head -c 200 $owner)): these tests will disturb its figures"
	docker version >/dev/null 2>&1 || engine=yes
	if [ $engine = yes ]; then
		for pair in dockerd=docker.io debootstrap=debootstrap iptables=iptables; do
			has "${pair%=*}" || wanted+=("${pair#*=}")
		done
	fi
	has podman || wanted+=(podman)
	# Where systemd runs, installing the package would start the system's sshd, too.
	has sshd || [ -d /run/systemd/system ] || wanted+=(openssh-server)
	[ -d /run/systemd/system ] || { has slurmctld && has slurmd && has munged && has sbatch; } || wanted+=($SLURM_PACKAGES)
	has chromium || has chromium-browser || has google-chrome || [ -n "${CHROMIUM:-}" ] || wanted+=(chromium)
	if ! may_install; then
		[ ${#wanted[@]} = 0 ] || notes+=("not installed (needs root and apt, and HARNESS_NO_APT unset): ${wanted[*]}")
		return 0
	fi
	[ $engine = no ] || echo "a Docker Engine will be started here (dockerd), and stopped when the tests end"
	[ ${#wanted[@]} != 0 ] || return 0
	echo "installing with apt: ${wanted[*]} (HARNESS_NO_APT=1 leaves the system alone)"
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
		notes+=("not installed (apt failed): ${wanted[*]}")
}

start_engine() {
	# Real containers are wanted: where no engine answers and this user may, one is started for the tests.
	# A user's own engine is never displaced.
	if docker version >/dev/null 2>&1; then return 0; fi
	if ! may_install || ! has dockerd; then
		notes+=("not run: tests of the docker engine (no engine answers, and none may be started)")
		return 0
	fi
	mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}/harness"
	local log=${XDG_CACHE_HOME:-$HOME/.cache}/harness/dockerd.log
	rm -f /var/run/docker.pid
	PATH=$PATH:/usr/sbin:/sbin setsid dockerd >"$log" 2>&1 </dev/null &
	engine_pid=$!
	for _ in $(seq 60); do
		docker version >/dev/null 2>&1 && return 0
		sleep 1
	done
	notes+=("not run: tests of the docker engine (dockerd did not start; see $log)")
}

stop_engine() {
	[ -n "${engine_pid:-}" ] && kill "$engine_pid" 2>/dev/null && wait "$engine_pid" 2>/dev/null
	return 0
}

# A part that begins here, in a process group of its own, and runs beside others; what it said is shown by `await`.
declare -A beside=()

begin() {
	local name=$1
	shift
	set -m
	HARNESS_TEST_NOTES=$logs/$name "$@" >"$logs/$name" 2>&1 </dev/null &
	set +m
	beside[$name]=$!
}

await() {
	local name code worst=0
	for name in "$@"; do
		[ -n "${beside[$name]:-}" ] || continue
		code=0
		wait "${beside[$name]}" || code=$? worst=1
		unset "beside[$name]"
		cat "$logs/$name"
		explain "$name" $code
	done
	return $worst
}

# Interrupted: the labs take themselves down.
stop_beside() {
	local pid
	for pid in "${beside[@]}"; do kill -INT "$pid" 2>/dev/null; done
	for pid in "${beside[@]}"; do wait "$pid"; done
	rm -rf "$logs"
}
trap 'stop_beside; stop_engine' EXIT
trap 'exit 130' INT TERM

# Many hosts, as containers of this machine's engine; a user's own engine is left alone (HARNESS_LAB=1 uses it).
# Its tests wait most of the time, so they run beside what computes, in two labs at once.
start_lab() {
	local reason
	reason=$("$BIN/python" tests/lab/outer_engine.py) || return 1
	if [ -n "$reason" ]; then
		notes+=("not run: the lab of many hosts ($reason):")
		notes+=("$("$BIN/python" -m pytest --collect-only -q -m "lab and not lab_full" tests/lab | sed -n 's/^tests.*::/    /p')")
		return 0
	fi
	begin lab-1 test_lab $(printf 'tests/lab/%s ' $LAB_FIRST)
	begin lab-2 test_lab tests/lab $(printf -- '--ignore=tests/lab/%s ' $LAB_FIRST)
	echo "begun, in two labs; it ends below, beside what computes meanwhile"
}

LAB_FIRST="test_real_sessions.py test_hosts_away.py test_lab_itself.py" # about half of the time

test_lab() { exec "$BIN/python" -m pytest -q --durations=5 -m "lab and not lab_full" "$@"; }

SLURM_PACKAGES="munge slurmctld slurmd slurm-client"

test_podman() {
	has podman || notes+=("not run: tests of the podman engine (no podman here; Debian: podman)")
	has podman || return 0
	"${TESTS[@]}" -m "podman"
}

finish() {
	printf '%s\n' '' "${results[@]}"
	for note in "${notes[@]}" "${faults[@]}"; do echo "$note"; done
	exit $failed
}

PURE="not thorough and not slurm and not tensorflow and not docker and not podman and not cgroup and not whole and not lab and not vm and not ssh and not browser"

TESTS=("$BIN/python" -m pytest -q)
# Shared by as many processes as there are CPUs; each that crashes is replaced, and the test that it ran is named.
SHARED=("${TESTS[@]}" -n auto --maxprocesses 4 --dist worksteal)

part "style (ruff)" "$BIN/ruff" check --quiet .
part "format (ruff)" "$BIN/ruff" format --check --quiet .
part "layers (import-linter)" "$BIN/lint-imports" --no-cache --no-logo
if [ "${1:-}" = quick ]; then
	begin types "$BIN/mypy" --no-error-summary
	begin fuzz env HARNESS_QUICK_CASES=100 "${TESTS[@]}" -m "$PURE and not slow" tests/fuzz
	part "pure parts" "${SHARED[@]}" -m "$PURE and not slow" --ignore=tests/fuzz
	part "types (mypy), begun before" await types
	part "damaged input, begun before" await fuzz
	finish
fi

# What waits begins first: hosts that boot, freeze or stay away, and sessions, which start program after program. What
# computes runs beside them, at most two processes of it at once.
part "what the machine lacks" prepare_machine
part "a Docker Engine for tests" start_engine
part "many hosts: begin" start_lab
has sshd || notes+=("not run: tests of hosts over SSH (no sshd here; Debian: openssh-server)")
begin whole "${TESTS[@]}" -m "whole and not docker and not podman and not slurm" --ignore=tests/whole/test_wheel.py
part "pure parts" "${SHARED[@]}" -m "$PURE" --ignore=tests/fuzz
# In a process of its own, beside other parts: it computes on one CPU, and nothing that they load counts as its own.
begin fuzz "${TESTS[@]}" -m "$PURE" tests/fuzz
part "types (mypy strict)" "$BIN/mypy" --no-error-summary
part "hosts over SSH" "${TESTS[@]}" -m "ssh and not whole and not lab and not vm and not podman and not slurm"
part "damaged input, begun before" await fuzz
part "report in a browser" "${TESTS[@]}" -m "browser"
part "cgroups and processes" "${TESTS[@]}" -m "cgroup and not tensorflow and not docker and not podman and not slurm and not whole and not ssh"
has slurmctld || notes+=("not run: tests of the slurm engine (no slurmctld here; Debian: $SLURM_PACKAGES)")
part "Slurm" "${TESTS[@]}" -m "slurm"
begin tensorflow "${SHARED[@]}" -m "tensorflow and not docker and not whole and not loaders_full"
# From here on the engine is that of its own tests alone.
part "many hosts: end" await lab-1 lab-2
part "Docker Engine" "${TESTS[@]}" -m "docker and not whole and not ssh"
part "Podman" test_podman
part "whole sessions on Docker" "${TESTS[@]}" -m "whole and docker"
part "the wheel" "${TESTS[@]}" -m "whole" tests/whole/test_wheel.py
part "whole sessions, begun before" await whole
part "TensorFlow, begun before" await tensorflow
finish
