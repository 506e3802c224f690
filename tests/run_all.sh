#!/usr/bin/env bash
# run_all.sh [quick]: every check and test, part by part; each prints its minutes. Parts that could not run are named
# at the end. `quick` runs what needs no engine, no sshd, no browser, no TensorFlow and less than ten
# seconds a test, and changes nothing on the machine.
set -uo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} -rs" # a test that is skipped is named, with its reason
results=() failed=0 notes=()

part() {
	local name=$1 begun=$SECONDS
	shift
	echo "── $name"
	if "$@"; then outcome=ok; else outcome=FAILED; failed=1; fi
	results+=("$(printf '%-28s %-7s %2d min %02d s' "$name" "$outcome" $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60)))")
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
	# Where systemd runs, installing the package would start the system's sshd, too.
	has sshd || [ -d /run/systemd/system ] || wanted+=(openssh-server)
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
logs=$(mktemp -d)

begin() {
	local name=$1
	shift
	set -m
	"$@" >"$logs/$name" 2>&1 </dev/null &
	set +m
	beside[$name]=$!
}

await() {
	local name code=0
	for name in "$@"; do
		[ -n "${beside[$name]:-}" ] || continue
		wait "${beside[$name]}" || code=1
		unset "beside[$name]"
		cat "$logs/$name"
	done
	return $code
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
# Its tests wait most of the time, for hosts that boot, freeze or stay away, so they run beside parts that compute
# on one CPU, in two labs at once.
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

finish() {
	printf '%s\n' '' "${results[@]}"
	for note in "${notes[@]}"; do echo "$note"; done
	exit $failed
}

PURE="not thorough and not tensorflow and not docker and not cgroup and not whole and not lab and not vm and not ssh and not browser"

part "style (ruff)" "$BIN/ruff" check --quiet .
part "format (ruff)" "$BIN/ruff" format --check --quiet .
if [ "${1:-}" = quick ]; then
	begin types "$BIN/mypy" --no-error-summary
	part "layers (import-linter)" "$BIN/lint-imports" --no-cache --no-logo
	part "pure parts" "$BIN/python" -m pytest -q -m "$PURE and not slow" --ignore=tests/fuzz
	part "damaged input" "$BIN/python" -m pytest -q -m "$PURE and not slow" tests/fuzz
	part "types (mypy), beside them" await types
	finish
fi
part "what the machine lacks" prepare_machine
part "layers (import-linter)" "$BIN/lint-imports" --no-cache --no-logo
part "a Docker Engine for tests" start_engine
part "many hosts: begin" start_lab
begin types "$BIN/mypy" --no-error-summary
# In a process of its own, beside the pure parts: it computes on one CPU, and nothing that they load counts as its own.
begin fuzz "$BIN/python" -m pytest -q -m "$PURE" tests/fuzz
part "pure parts" "$BIN/python" -m pytest -q -m "$PURE" --ignore=tests/fuzz
part "types (mypy strict), beside them" await types
has sshd || notes+=("not run: tests of hosts over SSH (no sshd here; Debian: openssh-server)")
begin ssh "$BIN/python" -m pytest -q -m "ssh and not whole and not lab and not vm"
part "damaged input, begun before" await fuzz
part "report in a browser" "$BIN/python" -m pytest -q -m "browser"
part "hosts over SSH, begun before" await ssh
part "cgroups and processes" "$BIN/python" -m pytest -q -m "cgroup and not tensorflow and not docker and not whole and not ssh"
part "many hosts: end" await lab-1 lab-2
# Sessions start program after program and compute on one CPU most of the time, so they run beside the next three.
begin whole "$BIN/python" -m pytest -q -m "whole and not docker" --ignore=tests/whole/test_wheel.py
part "TensorFlow" "$BIN/python" -m pytest -q -m "tensorflow and not docker and not whole and not loaders_full"
part "Docker Engine" "$BIN/python" -m pytest -q -m "docker and not whole and not ssh"
part "the wheel" "$BIN/python" -m pytest -q -m "whole" tests/whole/test_wheel.py
part "whole sessions, begun before" await whole
part "whole sessions on Docker" "$BIN/python" -m pytest -q -m "whole and docker"
finish
