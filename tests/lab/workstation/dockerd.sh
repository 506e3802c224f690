#!/bin/bash
# Start the workstation's Docker Engine, detached; the one before it has ended.
set -u
rm -f /run/docker.pid /var/run/docker.pid /run/docker.sock
[ -z "$(pidof dockerd)" ] && rm -rf /run/docker/containerd/containerd.pid
mkdir -p /etc/docker
if [ "${LAB_STORE:-}" = containerd ]; then
	echo '{"features": {"containerd-snapshotter": true}}' >/etc/docker/daemon.json
	driver=()
else
	driver=(--storage-driver overlay2)
fi
setsid dockerd -H unix:///run/docker.sock "${driver[@]}" >>/var/log/dockerd.log 2>&1 </dev/null &
