#!/usr/bin/env bash
# Makes a Debian machine without a Docker engine able to build and run the images: podman, buildah and runc from
# Debian's packages, podman-compose from PyPI, and a base image made by debootstrap where none can be pulled.
#
#   sudo docker/machine.sh FOLDER     then:  . FOLDER/environment
#
# Everything but the packages stays in FOLDER (images, volumes, settings), so that removing it leaves nothing behind;
# the machine's own images and settings of podman are not touched. Repeatable; about a minute the first time.
set -euo pipefail

BASE=docker.io/library/debian:bookworm-slim
folder=$(mkdir -p "${1:?wanted: a folder for images and settings}" && cd "$1" && pwd)

fail() { echo "docker/machine.sh: $*" >&2; exit 69; }

[[ $(id -u) -eq 0 ]] || fail "runs as root only: it installs packages, and containers here are root's. Try sudo."

wanted=()
for program in podman buildah runc debootstrap; do command -v "$program" >/dev/null || wanted+=("$program"); done
if ((${#wanted[@]})); then
  command -v apt-get >/dev/null || fail "${wanted[*]} missing, and there is no apt-get to install them with."
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install --yes --no-install-recommends "${wanted[@]}" netavark aardvark-dns iptables; } \
    >"$folder/apt.log" 2>&1 || fail "apt-get could not install ${wanted[*]}: $(tail -1 "$folder/apt.log")"
fi

# vfs copies every layer whole: 20 times the space and time with PyTorch in it. It always works.
driver=vfs
probe=$(mktemp -d "$folder/probe.XXXX")
mkdir "$probe"/{lower,upper,work,merged}
if mount -t overlay overlay -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" 2>/dev/null; then
  umount "$probe/merged"
  driver=overlay
fi
rm -rf "$probe"

cat >"$folder/storage.conf" <<CONF
[storage]
driver = "$driver"
runroot = "$folder/run"
graphroot = "$folder/storage"
CONF
# Without systemd there is no manager of control groups; the default limits may be above what this machine allows.
cat >"$folder/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "$folder/networks"
CONF
[[ -x $folder/python/bin/podman-compose ]] || {
  python3 -m venv "$folder/python" && "$folder/python/bin/python" -m pip install -qq podman-compose >"$folder/pip.log" 2>&1
} || fail "podman-compose could not be installed: $(tail -1 "$folder/pip.log")"

cat >"$folder/environment" <<ENV
export CONTAINERS_CONF='$folder/containers.conf' CONTAINERS_STORAGE_CONF='$folder/storage.conf'
export BUILDAH_ISOLATION=chroot TMPDIR='$folder/tmp' PATH='$folder/python/bin':"\$PATH"
ENV
mkdir -p "$folder/tmp" "$folder/networks"
. "$folder/environment"

if ! podman image exists "$BASE" && ! podman pull --quiet "$BASE" >/dev/null 2>&1; then
  root=$(mktemp -d "$folder/base.XXXX")
  debootstrap --variant=minbase bookworm "$root" >"$folder/debootstrap.log" 2>&1 ||
    fail "debootstrap could not make $BASE: $(tail -1 "$folder/debootstrap.log")"
  tar -C "$root" -c . | podman import --quiet - "$BASE" >/dev/null
  rm -rf "$root"
fi
echo "podman $(podman version --format '{{.Client.Version}}'), storage by $driver, base image $BASE"
