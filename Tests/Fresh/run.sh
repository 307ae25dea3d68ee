#!/usr/bin/env bash
# Runs the tests on systems that have just been installed: bare Debian roots, made by debootstrap, with a fresh clone.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: Tests/Fresh/run.sh [SUITE…] [-- STAGE…]

Makes a bare root (debootstrap --variant=minbase) of each Debian suite named, or of bookworm and trixie, clones this
repository's last commit into it, and runs Tests/run.sh there: all stages, or those named. Needs root, debootstrap and
some 6 GiB below TMPDIR (or /var/tmp). The roots and what they hold go again; --keep leaves them.

The packages come from the archive that this machine's apt has its own from. The Swift toolchain is this machine's,
mounted read-only. So are folders that git or pip are told to use instead of the network (url.….insteadOf, find-links).
TEXT
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"

suites=() stages=() keep=no
while [ $# -gt 0 ]; do
    case "$1" in
    --keep) keep=yes ;;
    --) shift && stages=("$@") && break ;;
    -h | --help) usage && exit 0 ;;
    -*) usage >&2 && exit 64 ;;
    *) suites+=("$1") ;;
    esac
    shift
done
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

[ "$(id -u)" = 0 ] || fail "bare roots need root: debootstrap and chroot"
install_packages debootstrap git
find_swift
toolchain=$(dirname "$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")")

# The archive of this machine, whichever suite it has from there.
# shellcheck disable=SC2016
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' | head -n 1)
[ -n "$archive" ] || fail "apt's sources name no archive of Debian" "this stage needs one, for debootstrap"
# shellcheck disable=SC2016
security=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian-Security' | head -n 1)

# Folders that stand for the network on this machine.
shared_folders() {
    git config --get-regexp '^url\..*\.insteadof$' | sed -n 's|^url\.\(/.*\)/\.insteadof .*|\1|p'
    printf '%s\n' "${PIP_FIND_LINKS:-}"
}

# What this machine needs to reach its archive and registries: proxies, certificates.
carry_settings() {
    local root=$1
    apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-|Retries)' >"$root/etc/apt/apt.conf.d/90host" || true
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    [ ! -f /etc/gitconfig ] || cp /etc/gitconfig "$root/etc/"
    [ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    [ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/host-certificates.crt"
}

make_root() { # make_root SUITE FOLDER
    debootstrap --variant=minbase "$1" "$2" "$archive" >"$2.log" 2>&1 || {
        tail -n 10 "$2.log" >&2
        return 1
    }
    {
        printf 'deb %s %s main\n' "$archive" "$1" "$archive" "$1-updates"
        [ -z "$security" ] || printf 'deb %s %s main\n' "$security" "$1-security"
    } >"$2/etc/apt/sources.list"
    carry_settings "$2"
    git clone -q --no-hardlinks "$top" "$2/root/dep2p"
}

# Everything that is mounted is in a mount namespace, and goes with it.
run_in_root() { # run_in_root FOLDER COMMAND…
    local root=$1 names
    shift
    names=$(env | sed -nE 's/^(PIP_[A-Z_]*|[a-z]*_proxy|DEP2P_[A-Z_]*)=.*/\1/p')
    # shellcheck disable=SC2016,SC2086
    TOOLCHAIN=$toolchain FOLDERS=$(shared_folders) NAMES=$names unshare --mount --pid --fork --propagation private bash -c '
        set -euo pipefail
        root=$1; shift
        for folder in "$TOOLCHAIN" $FOLDERS; do
            [ -d "$folder" ] || continue
            mkdir -p "$root$folder" && mount --bind -o ro "$folder" "$root$folder"
        done
        mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" && mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" && mount -t tmpfs tmpfs "$root/run"
        keep=(); for name in $NAMES; do keep+=("$name=${!name}"); done
        certificates=/etc/host-certificates.crt
        exec chroot "$root" env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 CI=true "${keep[@]}" \
            PIP_CERT=$certificates SSL_CERT_FILE=$certificates GIT_SSL_CAINFO=$certificates \
            PATH="$TOOLCHAIN/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
    ' bash "$root" "$@"
}

work=$(mktemp -d "${TMPDIR:-/var/tmp}/dep2p-fresh.XXXXXX")
cleanup() { if [ "$keep" = yes ]; then say "kept: $work"; else rm -rf --one-file-system "$work"; fi; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

summary=() failed=0
for suite in "${suites[@]}"; do
    printf '\n##### %s\n' "$suite"
    if make_root "$suite" "$work/$suite" && run_in_root "$work/$suite" bash /root/dep2p/Tests/run.sh "${stages[@]}"; then
        summary+=("$suite passed")
    else
        summary+=("$suite FAILED") failed=$((failed + 1))
    fi
done
printf '\n##### fresh systems\n'
printf '%s\n' "${summary[@]}"
[ "$failed" = 0 ]
