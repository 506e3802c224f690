#!/usr/bin/env bash
# Every check and test, part by part; each prints its minutes. Parts that could not run are named at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
results=() failed=0 notes=()

part() {
	local name=$1 begun=$SECONDS
	shift
	echo "── $name"
	if "$@"; then outcome=ok; else outcome=FAILED; failed=1; fi
	results+=("$(printf '%-28s %-7s %2d min %02d s' "$name" "$outcome" $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60)))")
}

start_engine() {
	# Real containers are wanted: where no engine answers and this user may, Debian's own is installed and started.
	# A user's own engine is never displaced.
	if docker version >/dev/null 2>&1; then return 0; fi
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		notes+=("not run: tests of the docker engine (no engine answers, and without root and apt none can be started)")
		return 0
	fi
	if ! command -v dockerd >/dev/null || ! command -v debootstrap >/dev/null; then
		apt-get update -qq && apt-get install -y -qq --no-install-recommends docker.io debootstrap iptables >/dev/null || {
			notes+=("not run: tests of the docker engine (docker.io could not be installed)")
			return 0
		}
	fi
	mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}/harness"
	local log=${XDG_CACHE_HOME:-$HOME/.cache}/harness/dockerd.log
	rm -f /var/run/docker.pid
	setsid dockerd >"$log" 2>&1 </dev/null &
	engine_pid=$!
	for _ in $(seq 60); do
		docker version >/dev/null 2>&1 && return 0
		sleep 1
	done
	notes+=("not run: tests of the docker engine (dockerd did not start; see $log)")
}

find_sshd() {
	# Tests start an sshd of their own. Where systemd runs, installing the package would start the system's, too.
	if [ -x "$(command -v sshd || echo /usr/sbin/sshd)" ]; then return 0; fi
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -d /run/systemd/system ]; then
		apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-server >/dev/null && return 0
	fi
	notes+=("not run: tests of hosts over SSH (no sshd here; Debian: openssh-server)")
}

stop_engine() {
	[ -n "${engine_pid:-}" ] && kill "$engine_pid" 2>/dev/null && wait "$engine_pid" 2>/dev/null
	return 0
}
trap stop_engine EXIT

run_lab() {
	# Many hosts, as containers of this machine's engine; a user's own engine is left alone (HARNESS_LAB=1 uses it).
	local reason
	reason=$("$BIN/python" tests/lab/outer_engine.py) || return 1
	if [ -n "$reason" ]; then
		notes+=("not run: the lab of many hosts ($reason):")
		notes+=("$("$BIN/python" -m pytest --collect-only -q -m "lab and not lab_full" tests/lab | sed -n 's/^tests.*::/    /p')")
		return 0
	fi
	"$BIN/python" -m pytest -q -m "lab and not lab_full" tests/lab
}

part "style (ruff)" "$BIN/ruff" check --quiet .
part "format (ruff)" "$BIN/ruff" format --check --quiet .
part "types (mypy strict)" "$BIN/mypy" --no-error-summary
part "layers (import-linter)" "$BIN/lint-imports" --no-cache --no-logo
part "a Docker Engine for tests" start_engine
part "pure parts" "$BIN/python" -m pytest -q -m "not tensorflow and not docker and not cgroup and not whole and not lab and not vm and not ssh and not browser"
part "report in a browser" "$BIN/python" -m pytest -q -m "browser"
find_sshd
part "hosts over SSH" "$BIN/python" -m pytest -q -m "ssh and not whole and not lab and not vm"
part "cgroups and processes" "$BIN/python" -m pytest -q -m "cgroup and not tensorflow and not docker and not whole and not ssh"
part "TensorFlow" "$BIN/python" -m pytest -q -m "tensorflow and not docker and not whole"
part "Docker Engine" "$BIN/python" -m pytest -q -m "docker and not whole and not ssh"
if [ "${1:-}" = lab ]; then part "a lab of many hosts" run_lab; else
	notes+=("not run: the lab of many hosts; it is still being built and has its own target: make test-lab")
fi
part "whole sessions and the wheel" "$BIN/python" -m pytest -q -m "whole"

printf '\n%s\n' "${results[@]}"
for note in "${notes[@]}"; do echo "$note"; done
exit $failed
