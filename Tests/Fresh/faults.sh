#!/usr/bin/env bash
# What a bare system lacks, and whether Sources/quickstart.sh says so or gets by (issue 8, "A fresh machine"); run in a
# fresh root by Tests/Fresh/run.sh, before anything is installed there.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit
failed=0 passed=0
said=$(mktemp)

# expect NAME STATUS WORDS… -- COMMAND…: its status, and that what it says holds each of the words.
expect() {
    local name=$1 wanted=$2 status=0 word missing=()
    shift 2
    local words=()
    while [ "$1" != -- ]; do words+=("$1") && shift; done
    shift
    "$@" >"$said" 2>&1 </dev/null || status=$?
    for word in "${words[@]}"; do grep -qF -- "$word" "$said" || missing+=("$word"); done
    if [ $status = "$wanted" ] && [ ${#missing[@]} = 0 ]; then
        passed=$((passed + 1)) && printf 'ok      %s\n' "$name"
    else
        failed=$((failed + 1)) && printf 'FAILED  %s: status %s, without: %s\n' "$name" $status "${missing[*]:-nothing}"
        tail -n 12 "$said" | sed 's/^/  /'
    fi
}

# Without root, and without a terminal.
as_tester() { setsid --wait setpriv --reuid=tester --regid=tester --clear-groups env -C "$clone" HOME="$home" "$@"; }

# lock_lists SECONDS: as an apt of a first boot holds it (fcntl, hence Perl, which every Debian has).
lock_lists() {
    perl -e 'use Fcntl; open(my $lock, ">>", "/var/lib/apt/lists/lock") or die;
        my $whole = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
        fcntl($lock, F_SETLK, $whole) or die "lock: $!"; $| = 1; print "locked\n"; sleep shift' "$1"
}

id tester >/dev/null 2>&1 || useradd --create-home tester
home=$(getent passwd tester | cut -d: -f6) clone=$home/dep2p
rm -rf "$clone" && cp -R "$top" "$clone" && rm -rf "$clone/.build" "$clone"/.build-* && chown -R tester: "$clone"

# Every package that root is to install, at once: those of the toolchain, of the build, and ngtcp2.
every=(libncurses-dev libsodium-dev libgnutls28-dev libngtcp2-dev "quickstart.sh --packages")
expect "no sudo: root's packages are named" 1 "${every[@]}" -- as_tester Sources/quickstart.sh

coproc lock { lock_lists 12; }
read -r <&"${lock[0]}"
expect "a first boot's apt is waited for" 0 "another apt is at work" -- \
    bash -c '. Sources/packages.sh && install_packages sudo'
expect "sudo without a terminal: root's packages are named" 1 "${every[@]}" -- as_tester Sources/quickstart.sh

expect "root's part, without HOME" 0 "the system packages are in place" -- env -u HOME Sources/quickstart.sh --packages

mkdir -p /tmp/small && mount -t tmpfs -o size=1m tmpfs /tmp/small
expect "a temporary folder too small for ngtcp2 is named" 0 "No space left on device" -- \
    env TMPDIR=/tmp/small bash -c '. Sources/packages.sh && ngtcp2_from_source; [ $? = 1 ]'
umount /tmp/small

mkdir -p /tmp/toolchain
printf '#!/bin/sh\necho "swift: error while loading shared libraries: libnone.so.1" >&2\nexit 127\n' >/tmp/toolchain/swift
chmod +x /tmp/toolchain/swift
expect "a toolchain that does not start is quoted" 1 "does not start" libnone.so.1 -- \
    as_tester PATH=/tmp/toolchain:/usr/bin:/bin Sources/quickstart.sh

printf 'let broken: Int = "\n' >>"$clone/Package.swift"
expect "a build that fails keeps its errors" 1 "error: unterminated string literal" "the build failed" -- \
    as_tester Sources/quickstart.sh
sed -i '$d' "$clone/Package.swift"

mkdir -p "$clone/.build" && mount -t tmpfs -o size=3m,uid=tester tmpfs "$clone/.build"
expect "a full disk is named" 1 "No space left on device" "MiB are free there" -- as_tester Sources/quickstart.sh
umount "$clone/.build"

# The copy's disk is full, so that nothing is built to the end.
cache=$home/.cache/dep2p-build
install -d -o tester -g tester "$home/.cache" "$cache" "$cache/.build"
mount -t tmpfs -o size=3m,uid=tester tmpfs "$cache/.build" && mount --bind -o ro "$clone" "$clone"
expect "a clone that can't be written to is built elsewhere" 1 "building in $cache" "No space left on device" -- \
    as_tester Sources/quickstart.sh
umount "$clone" "$cache/.build"

userdel --remove tester 2>/dev/null
rm -rf "$said" /tmp/small /tmp/toolchain
printf '%s passed, %s failed\n' $passed $failed
[ $failed = 0 ]
