#!/bin/bash
# Installs the packages named, which a benchmark compares with, where they are missing.
set -euo pipefail
missing=()
for package; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' \
    || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing ${missing[*]}"
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive \
  apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}" >/dev/null
