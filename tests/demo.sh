#!/bin/bash
# The whole way in one go: recipe -> template -> repository -> cache -> VE. Everything happens below
# cache/demo and in a network namespace of its own; only the built template is kept for next time.
set -euo pipefail
cd "$(dirname "$0")/.."
export VZ_SYSROOT=$PWD/cache/demo PATH=$PWD/.venv/bin:$PATH
template=debian-12-x86_64-minimal
out=$VZ_SYSROOT/out archive=$VZ_SYSROOT/out/$template.tar.zst

step() { # TITLE COMMAND...: run it and say how long it took
  local began ended
  began=$(date +%s%N)
  "${@:2}"
  ended=$(date +%s%N)
  printf '%-58s %6d ms\n' "$1" $(((ended - began) / 1000000))
}
indent() { sed 's/^/    /'; }
quiet() { "$@" >/dev/null; }
inside() { vzctl exec 101 "$@"; }

make_key() {
  if vztmpl key list --json | grep -q fingerprint; then
    echo "    kept from the run before"
  else
    vztmpl key generate --name 'Demo Key' --email demo@example.org >/dev/null
  fi
}
build() { vztmpl build "$template" --out "$out" >/dev/null; }
serve() {
  rm -rf "$VZ_SYSROOT/repository"
  vztmpl publish "$VZ_SYSROOT/repository" "$archive" >/dev/null
}
fetch() {
  vztmpl remote add demo "file://$VZ_SYSROOT/repository" --key "$VZ_SYSROOT/repository/key.asc" >/dev/null
  vztmpl fetch "$template" >/dev/null
}
tidy() {
  vzctl --quiet stop 101 --fast >/dev/null 2>&1 || true
  vzctl --quiet destroy 101 >/dev/null 2>&1 || true
  rm -rf "$VZ_SYSROOT"/{etc,vz,run,repository,var/log}
}

if [ "${1:-}" != apart ]; then
  mkdir -p "$out"
  step 'make a throw-away signing key' make_key
  step "build $template" build
  step 'verify its signature and digest' quiet vztmpl verify "$archive"
  ls -sh1 "$out" | tail -n +2 | indent
  # The rest has its own network namespace: no address of this demo meets one of yours.
  exec unshare --net -- bash "$0" apart
fi

trap tidy EXIT
tidy
ip link set lo up
ip address add 10.101.0.1/32 dev lo
step 'publish it into a repository on disk' serve
step 'fetch it from there: verify, cache, unpack' fetch
step 'create VE 101' vzctl --quiet create 101 --ostemplate "$template" --hostname demo --ipadd 10.101.0.101
step 'start it: init runs' vzctl --quiet start 101
step 'wait until systemd says running' quiet inside 'until systemctl is-system-running --wait 2>/dev/null; do sleep 0.02; done'
echo '  the VE sees only itself:'
inside 'echo "$(hostname), $(ps -e --no-headers | wc -l) processes, PID 1 is $(cat /proc/1/comm), its network: $(ip -brief address show venet0)"' | indent
echo '  the hardware node sees the VE'\''s init as an ordinary process of an unprivileged user:'
ps --no-headers -o pid,uid,comm -p "$(cut -d' ' -f1 "$VZ_SYSROOT/run/vztmpl/101/state")" | indent
echo '  memory is kept to 128 MB: 300 MB are refused'
vzctl --quiet set 101 --physpages 128M --swappages 0
inside 'head -c 300M /dev/zero | tail >/dev/null; echo "exit status ${PIPESTATUS[1]}: killed"' 2>/dev/null | indent || true
echo '  processes are kept to 30: fork is refused'
vzctl --quiet set 101 --numproc 30
inside 'sh -c "for i in \$(seq 40); do sleep 3 & done"' 2>&1 | indent || true
vzlist -o ctid,numproc,numproc.l,numproc.f,physpages.l,physpages.f,status,hostname | indent
vzctl --quiet set 101 --physpages 512M --numproc 1000
step 'run `true` in it' inside true
step 'stop it' vzctl --quiet stop 101
step 'destroy it' vzctl --quiet destroy 101
