#!/bin/bash
# Installs what the benchmarks compare with.
set -euo pipefail
missing=
for package in lxc podman busybox-static; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' \
    || missing="$missing $package"
done
[ -z "$missing" ] || DEBIAN_FRONTEND=noninteractive \
  apt-get install --yes --quiet=2 --no-install-recommends $missing >/dev/null
