#!/usr/bin/env bash
# run_all.sh [quick]: every check and test, part by part; each prints its minutes. What could not run is named at the
# end, and what failed. `quick` runs what needs no engine, no sshd, no browser, no TensorFlow and less than ten
# seconds a test, and changes nothing on the machine.
#
# A new part is one line at the end of this file, `part NAME COMMAND …`: in a lane where it waits most of the time, else
# beside the lanes. Its tests have a marker (pyproject.toml), and PURE leaves that out.
set -uo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} -rs" # a test that is skipped is named, with its reason
unset PYTHONDONTWRITEBYTECODE                   # hundreds of processes would compile the program, a second each
logs=$(mktemp -d)                               # what lanes print, what parts note for the end, what their tests note
lanes=() lane_names=()

part() {
	local name=$1 begun=$SECONDS outcome=ok code=0 took line
	shift
	echo "── $name"
	HARNESS_TEST_NOTES=$logs/$name "$@" || code=$?
	[ $code = 0 ] || outcome=FAILED
	explain "$name" $code
	took=$((SECONDS - begun))
	line=$(printf '%-26s %-7s %2d min %02d s from %d:%02d on' "$name" $outcome \
		$((took / 60)) $((took % 60)) $((begun / 60)) $((begun % 60)))
	[ ! -s "$logs/$name.cpu" ] || line+=$(awk '{ cpu += $1 } END { printf ", %d s of CPU", cpu }' "$logs/$name.cpu")
	echo "$line" >>"$logs/results"
}

# What failed in a part; where nothing did, and yet it ended badly, which test it was that took the process with it.
explain() {
	local name=$1 code=$2 end="exit code $2"
	[ ! -s "$logs/$name.failed" ] || sed 's/^/failed: /' "$logs/$name.failed" >>"$logs/faults"
	[ "$code" != 0 ] || return 0
	if [ "$code" = 1 ] && [ -s "$logs/$name.failed" ]; then return; fi
	echo "$name" >>"$logs/broken" # not by tests that failed alone
	[ "$code" -le 128 ] || end="signal $((code - 128)), SIG$(kill -l $((code - 128)))"
	[ ! -s "$logs/$name.running" ] || echo "died: $name, of $end, in $(<"$logs/$name.running")" >>"$logs/faults"
}

# A line for the end: what was not run, and why.
note() { echo "$*" >>"$logs/notes"; }

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ -z "${HARNESS_NO_APT:-}" ]; }
has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

SLURM_PACKAGES="munge slurmctld slurmd slurm-client"

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
		[ ${#wanted[@]} = 0 ] || note "not installed (needs root and apt, and HARNESS_NO_APT unset): ${wanted[*]}"
		return 0
	fi
	[ $engine = no ] || echo "a Docker Engine will be started here (dockerd), and stopped when the tests end"
	[ ${#wanted[@]} != 0 ] || return 0
	echo "installing with apt: ${wanted[*]} (HARNESS_NO_APT=1 leaves the system alone)"
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
		note "not installed (apt failed): ${wanted[*]}"
}

start_engine() {
	# Real containers are wanted: where no engine answers and this user may, one is started for the tests.
	# A user's own engine is never displaced.
	if docker version >/dev/null 2>&1; then return 0; fi
	if ! may_install || ! has dockerd; then
		note "not run: tests of the docker engine (no engine answers, and none may be started)"
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
	note "not run: tests of the docker engine (dockerd did not start; see $log)"
}

stop_engine() {
	[ -n "${engine_pid:-}" ] && kill "$engine_pid" 2>/dev/null && wait "$engine_pid" 2>/dev/null
	return 0
}

# Lanes: parts one after the other, or a single one, beside the rest, each lane in a process group of its own.
# `await` shows what they printed.
lane() {
	local name=$1
	shift
	set -m
	(
		trap 'exit 130' INT TERM # with the part that runs, the lane ends
		"$@"
	) >"$logs/lane $name" 2>&1 </dev/null &
	set +m
	lanes+=($!) lane_names+=("$name")
}

await() {
	local number code
	for number in "${!lanes[@]}"; do
		code=0
		wait "${lanes[$number]}" || code=$?
		unset "lanes[$number]"
		cat "$logs/lane ${lane_names[$number]}"
		[ $code = 0 ] || echo "died: ${lane_names[$number]}, of exit code $code" >>"$logs/faults"
	done
}

# Interrupted: the labs take themselves down.
stop_lanes() {
	local pid
	for pid in "${lanes[@]}"; do kill -INT -- "-$pid" 2>/dev/null; done
	for pid in "${lanes[@]}"; do wait "$pid"; done
	rm -rf "$logs"
}
trap 'stop_lanes; stop_engine' EXIT
trap 'exit 130' INT TERM

finish() {
	local code=0
	await
	try_again
	echo
	cat "$logs/results"
	say_busy
	[ ! -s "$logs/faults" ] && [ ! -s "$logs/broken" ] || code=1
	cat "$logs/notes" "$logs/faults" 2>/dev/null
	exit $code
}

# Parts wait for each other's CPU, and a test that looks at time may fail by that. So a few tests that failed run once
# more with nothing beside them. Those that pass then are named, and are no fault of the program.
try_again() {
	local tests=()
	mapfile -t tests < <(sed -n 's/^failed: //p' "$logs/faults" 2>/dev/null)
	[ ${#tests[@]} -gt 0 ] && [ ${#tests[@]} -le $MOST_TRIED_AGAIN ] || return 0
	sed -i '/^failed: /d' "$logs/faults"
	printf 'failed beside other parts, passed alone unless named below: %s\n' "${tests[@]}" >>"$logs/notes"
	part "what failed, alone" "${TESTS[@]}" "${tests[@]}"
}
MOST_TRIED_AGAIN=6

# How much of the machine was used, by whatever ran: the parts' own CPU time has neither jobs nor containers.
busy_s() { awk -v hz="$(getconf CLK_TCK)" '$1 == "cpu" { print int(($2 + $3 + $4 + $7 + $8) / hz) }' /proc/stat; }
busy_before=$(busy_s)
say_busy() {
	local busy=$(($(busy_s) - busy_before)) cpus=$(nproc)
	printf '%-26s         %2d min %02d s, in which this machine used %d of %d s of CPU\n' \
		"all together" $((SECONDS / 60)) $((SECONDS % 60)) $busy $((SECONDS * cpus))
}

TESTS=("$BIN/python" -m pytest -q)
# Shared by as many processes as there are CPUs; each that crashes is replaced, and the test that it ran is named.
SHARED=("${TESTS[@]}" -n auto --maxprocesses 4 --dist worksteal)

PURE="not thorough and not slurm and not tensorflow and not docker and not podman and not cgroup and not whole and not lab and not vm and not ssh and not browser"

part "style (ruff)" "$BIN/ruff" check --quiet .
part "format (ruff)" "$BIN/ruff" format --check --quiet .
part "layers (import-linter)" "$BIN/lint-imports" --no-cache --no-logo
lane documents part "documents (Sphinx)" make --no-print-directory --silent docs VENV="${BIN%/bin}"
if [ "${1:-}" = quick ]; then
	lane types part "types (mypy strict)" "$BIN/mypy" --no-error-summary
	lane fuzz part "damaged input" env HARNESS_QUICK_CASES=100 "${TESTS[@]}" -m "$PURE and not slow" tests/fuzz
	part "pure parts" "${SHARED[@]}" -m "$PURE and not slow" --ignore=tests/fuzz
	finish
fi

# Many hosts, as containers of this machine's engine; a user's own engine is left alone (HARNESS_LAB=1 uses it). Two
# labs at once, of about the same time.
LAB_FIRST="test_real_sessions.py test_hosts_away.py test_lab_itself.py test_faults_on_hosts.py"
test_lab() { "${TESTS[@]}" --durations=5 -m "lab and not lab_full" "$@"; }
start_labs() {
	local reason
	reason=$("$BIN/python" tests/lab/outer_engine.py) || return 1
	if [ -n "$reason" ]; then
		note "not run: the lab of many hosts ($reason):"
		note "$(test_lab --collect-only tests/lab | sed -n 's/^tests.*::/    /p')"
		return 0
	fi
	lane lab-1 part "many hosts, first lab" test_lab $(printf 'tests/lab/%s ' $LAB_FIRST)
	lane lab-2 part "many hosts, second lab" test_lab tests/lab $(printf -- '--ignore=tests/lab/%s ' $LAB_FIRST)
}

# Programs that start and wait for each other.
of_hosts() {
	has sshd || note "not run: tests of hosts over SSH (no sshd here; Debian: openssh-server)"
	part "hosts over SSH" "${TESTS[@]}" -m "ssh and not whole and not lab and not vm and not podman and not slurm"
	has slurmctld || note "not run: tests of the slurm engine (no slurmctld here; Debian: $SLURM_PACKAGES)"
	part "Slurm" "${TESTS[@]}" -m "slurm"
	has podman || note "not run: tests of the podman engine (no podman here; Debian: podman)"
	! has podman || part "Podman" "${TESTS[@]}" -m "podman"
	part "cgroups and processes" "${TESTS[@]}" -m "cgroup and not tensorflow and not docker and not podman and not slurm and not whole and not ssh"
	part "report in a browser" "${TESTS[@]}" -m "browser"
	part "the wheel" "${TESTS[@]}" -m "whole" tests/whole/test_wheel.py
}

SESSIONS=("${TESTS[@]}" --durations=5 -m "whole and not docker and not podman and not slurm")
of_engines() {
	part "Docker Engine" "${TESTS[@]}" -m "docker and not whole and not ssh"
	part "whole sessions on Docker" "${TESTS[@]}" -m "whole and docker"
	part "whole sessions" "${SESSIONS[@]}" tests/whole --ignore=tests/whole/test_bad_input.py --ignore=tests/whole/test_wheel.py
}

# What waits runs in lanes. What computes runs beside them in two processes, and yields to them: its end can wait.
part "what the machine lacks" prepare_machine
part "a Docker Engine for tests" start_engine
part "many hosts: begin" start_labs
lane hosts of_hosts
lane engines of_engines
lane bad-input part "bad input, bad moments" "${SESSIONS[@]}" tests/whole/test_bad_input.py
YIELD=(nice -n 3)
part "pure parts" "${YIELD[@]}" "${SHARED[@]}" -m "$PURE" --ignore=tests/fuzz
# In a process of its own: it computes on one CPU, and nothing that other parts load counts as its own.
lane fuzz part "damaged input" "${YIELD[@]}" "${TESTS[@]}" -m "$PURE" tests/fuzz
part "types (mypy strict)" "${YIELD[@]}" "$BIN/mypy" --no-error-summary
# File by file: what a file's fixtures prove takes a minute, and is proven once.
part "TensorFlow" "${YIELD[@]}" "${SHARED[@]}" --dist loadfile -m "tensorflow and not docker and not whole and not loaders_full"
finish
