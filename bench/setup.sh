#!/bin/bash
# Installs what the benchmarks compare with, where it is missing.
set -euo pipefail
missing=()
for package in conmon crun curl lxc podman zstd; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' \
    || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing ${missing[*]}"
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive \
  apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}" >/dev/null
