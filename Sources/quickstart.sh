#!/usr/bin/env bash
# Builds dep2p on a fresh Debian 12 or Ubuntu 24.04 with a Swift toolchain, and shows that it works.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: Sources/quickstart.sh [--install PREFIX] [--no-demo]

Installs the missing system packages (apt, with sudo when needed), builds the release binary, and sends a 64 MiB file
between two nodes of a new realm on this machine. Running it again changes nothing that is already in place.

  --install PREFIX   puts the binary, the man pages and the shell completions below PREFIX (for example /usr/local)
  --no-demo          builds, and installs if asked, without the demonstration
  -h, --help         shows this
TEXT
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"

prefix='' demo=yes
while [ $# -gt 0 ]; do
    case "$1" in
    --install)
        [ -n "${2:-}" ] || fail "--install needs a folder" "for example: Sources/quickstart.sh --install /usr/local"
        prefix=$2
        shift
        ;;
    --install=?*) prefix=${1#*=} ;;
    --no-demo) demo=no ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) usage >&2 && exit 64 ;;
    esac
    shift
done

build() {
    local log=$work/build.log flags=(-c release --package-path "$top" --product dep2p --static-swift-stdlib)
    say "building the release binary (the first time takes some minutes) …"
    swift build "${flags[@]}" >"$log" 2>&1 || {
        grep -m 20 'error:' "$log" >&2 || tail -n 20 "$log" >&2
        fail "the build failed" "its errors are above; a clean start: rm -rf '$top/.build' and run this again"
    }
    binary=$(swift build "${flags[@]}" --show-bin-path)/dep2p
    "$binary" --version
}

# first FIELD FILE: the first string that a JSON line of FILE gives FIELD (or FIELD's first element).
first() { sed -n "s/.*\"$1\":\[\{0,1\}\"\([^\"]*\)\".*/\1/p" "$2" | sed 's|\\/|/|g' | head -n 1; }

wait_for_listener() {
    for _ in $(seq 200); do
        address=$(first addresses "$work/listen.json")
        [ -n "$address" ] && return 0
        kill -0 "$listener" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/listen.err" >&2
    fail "the listening node did not start" "the lines above are its own"
}

# The main job: host A listens, host B sends by NodeID; here both are this machine.
demonstrate() {
    local node_id
    say "the main job: two nodes, a new realm, 64 MiB by NodeID"
    head -c 67108864 /dev/urandom >"$work/disk.img"
    "$binary" realm-key -o "$work/realm.key" >/dev/null
    mkdir "$work/inbox"
    HOME=$work/a XDG_DATA_HOME=$work/a "$binary" listen --realm-key "$work/realm.key" -o "$work/inbox" --once --json \
        --listen 127.0.0.1:0 >"$work/listen.json" 2>"$work/listen.err" &
    listener=$!
    wait_for_listener
    node_id=${address##*/p2p/}
    say "  A listens as $node_id"
    HOME=$work/b XDG_DATA_HOME=$work/b "$binary" send --realm-key "$work/realm.key" --to "$node_id" \
        --peer "$address" "$work/disk.img" ||
        fail "the sender failed" "its own message is above; please report it with the output of: $binary --version"
    wait "$listener" || { cat "$work/listen.err" >&2; fail "the receiver failed" "its own lines are above"; }
    listener=''
    cmp -s "$work/disk.img" "$work/inbox/disk.img" || fail "the received file differs from the sent one"
    say "  B sent 64 MiB; A holds it with the same SHA-256:"
    say "  $(sha256sum <"$work/inbox/disk.img" | cut -d' ' -f1)"
}

put() { # put MODE SOURCE TARGET
    install -D -m "$1" "$2" "$3" 2>/dev/null || as_root install -D -m "$1" "$2" "$3"
}

install_below() {
    local page
    put 755 "$binary" "$prefix/bin/dep2p"
    for page in "$top"/man/*.1; do put 644 "$page" "$prefix/share/man/man1/${page##*/}"; done
    put 644 "$top/completions/dep2p.bash" "$prefix/share/bash-completion/completions/dep2p"
    put 644 "$top/completions/_dep2p" "$prefix/share/zsh/site-functions/_dep2p"
    put 644 "$top/completions/dep2p.fish" "$prefix/share/fish/vendor_completions.d/dep2p.fish"
    binary=$prefix/bin/dep2p
    say "installed below $prefix: bin/dep2p, man pages, completions for bash, zsh and fish"
}

next_steps() {
    cat <<TEXT

dep2p is here: $binary

next, on the machine that receives:
  $binary realm-key -o realm.key                # one key for all members; copy it to the others by a safe way
  $binary listen --realm-key realm.key -o inbox # prints the line to paste on the machine that sends
and on the machine that sends:
  $binary send --realm-key realm.key --to ADDRESS FILE
more: $binary --help
TEXT
}

work=$(mktemp -d) listener=''
cleanup() {
    [ -z "$listener" ] || kill "$listener" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

find_swift
install_build_packages
build
[ "$demo" = no ] || demonstrate
[ -z "$prefix" ] || install_below
next_steps
