#!/bin/bash
# A workstation of the lab boots: what an init would do, in a container of the outer engine.
#   LAB_MEM_KB   its RAM, as its programs are to see it      LAB_DISK_MB  a disk of its own of that size (0: none)
#   LAB_DOCKER   no: no Docker starts                         LAB_GROUP    no: its user may not use Docker
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$0")

# Not a privileged container (see workstations.py), so sysfs and the cgroups come read-only.
for point in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do
	mountpoint -q "$point" && mount -o remount,bind,rw "$point"
done
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # version 2: controllers are delegated from an empty group only
	mkdir -p /sys/fs/cgroup/init
	xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null
	sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi

# Its disk: a volume of the outer engine, or a small file system in it.
disk=/srv/disk
if [ "${LAB_DISK_MB:-0}" != 0 ]; then
	mknod /dev/loop-control c 10 237 2>/dev/null
	for number in $(seq 0 31); do mknod "/dev/loop$number" b 7 "$number" 2>/dev/null; done
	if [ ! -f $disk/disk.ext4 ]; then
		truncate -s "${LAB_DISK_MB}M" $disk/disk.part
		mkfs.ext4 -q -m 0 $disk/disk.part && mv $disk/disk.part $disk/disk.ext4
	fi
	mkdir -p /srv/small && mount -o loop $disk/disk.ext4 /srv/small && disk=/srv/small
fi
mkdir -p $disk/docker $disk/containerd $disk/home /var/lib/docker /var/lib/containerd /home
mount --bind $disk/docker /var/lib/docker
mount --bind $disk/containerd /var/lib/containerd
mount --bind $disk/home /home

# Its user, who may come in with the lab's key and use Docker. '*' is no password, but not a locked account either.
id bench >/dev/null 2>&1 || useradd -M -d /home/bench -s /bin/bash -p '*' bench
mkdir -p /home/bench/.ssh
cp /lab/keys/authorized_keys /home/bench/.ssh/
chown -R bench: /home/bench/.ssh && chown bench: /home/bench && chmod 700 /home/bench/.ssh
if [ "${LAB_GROUP:-yes}" = yes ]; then usermod -a -G docker bench; else gpasswd -q -d bench docker 2>/dev/null; fi

# The RAM that programs see (Docker's MemTotal, too): written in place, at one length, for it is mounted.
figures=/sys/fs/cgroup/memory
meminfo() {
	# What nobody can take back counts as used: not the page cache, nor the kernel's memory of files, as a real one says.
	local used=0 held=0 cache=0 word value free available text
	if [ -f $figures/memory.stat ]; then
		used=$(<$figures/memory.usage_in_bytes)
		while read -r word value; do
			case $word in total_cache) cache=$value ;; total_rss | total_shmem) held=$((held + value)) ;; esac
		done <$figures/memory.stat
	elif [ -f /sys/fs/cgroup/memory.stat ]; then
		while read -r word value; do
			case $word in file) cache=$value ;; anon | shmem) held=$((held + value)) ;; esac
		done </sys/fs/cgroup/memory.stat
		used=$((cache + held))
	fi
	free=$((LAB_MEM_KB - used / 1024)) available=$((LAB_MEM_KB - held / 1024))
	[ $free -gt 0 ] || free=0
	[ $available -gt 0 ] || available=0
	printf -v text '%-15s %8d kB\n' MemTotal: "$LAB_MEM_KB" MemFree: $free MemAvailable: $available Buffers: 0 \
		Cached: $((cache / 1024)) SwapCached: 0 Active: 0 Inactive: 0 SwapTotal: 0 SwapFree: 0 Dirty: 0 Shmem: 0
	printf '%s' "$text" 1<>/run/meminfo
}
: >/run/meminfo
meminfo
mount --bind /run/meminfo /proc/meminfo
while sleep 2; do meminfo; done &

[ "${LAB_DOCKER:-yes}" = no ] || bash "$here/dockerd.sh"
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -f "$here/sshd_config"
