#!/usr/bin/env bash
# Builds dep2p on a fresh Debian 12 or 13 or Ubuntu 24.04 with a Swift toolchain, and shows that it works.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: Sources/quickstart.sh [--install PREFIX] [--no-demo] | --packages

Installs the missing system packages (apt, with sudo when needed), builds the release binary, and sends a 64 MiB file
between two nodes of a new realm on this machine. Running it again changes nothing that is already in place.

ngtcp2, the QUIC library, is needed in version 1.11 or later. It is built from upstream's release with a change of ours,
static and below /usr/local: from the archive that DEP2P_NGTCP2_ARCHIVE names, the machine's Debian archive has, or
upstream publishes. Where none is to be had, a package of the system serves (on Debian 12 that of its backports; apt's
sources stay as they are), and links that lose packets are filled less well.

  --install PREFIX   puts the binary, the man pages and the shell completions below PREFIX (for example /usr/local)
  --no-demo          builds, and installs if asked, without the demonstration
  --packages         installs the system packages and ends: all that needs root, where the build is another user's
  -h, --help         shows this
TEXT
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"

prefix='' demo=yes packages_only=no
while [ $# -gt 0 ]; do
    case "$1" in
    --install)
        [ -n "${2:-}" ] || fail "--install needs a folder" "for example: Sources/quickstart.sh --install /usr/local"
        prefix=$2
        shift
        ;;
    --install=?*) prefix=${1#*=} ;;
    --no-demo) demo=no ;;
    --packages) packages_only=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) usage >&2 && exit 64 ;;
    esac
    shift
done

# A clone that this user can't write to is built from a copy of its own.
choose_folder() {
    source=$top
    if ! writable "$top"; then
        source=${XDG_CACHE_HOME:-$HOME/.cache}/dep2p-build
        say "$top can't be written to: building in $source"
        mkdir -p "$source" || fail "$source can't be made" "XDG_CACHE_HOME names a folder for it"
        rm -rf "${source:?}"/{Sources,Tests,man,completions}
        tar -C "$top" --exclude=./.build --exclude=./.git -cf - . | tar -C "$source" --no-same-permissions -xf - ||
            fail "the clone could not be copied to $source" "its messages above say why"
        chmod -R u+w "$source/Sources" "$source/Tests" "$source/man" "$source/completions"
    fi
    scratch=$source/.build
    mkdir -p "$scratch" || fail "$scratch can't be made"
    # The build and the demonstration need more room than some systems' /tmp has.
    work=$(mktemp -d "$scratch/quickstart.XXXXXX") || fail "no room in $scratch" "$(room "$scratch")"
    mkdir "$work/tmp"
    export TMPDIR=$work/tmp
}

# The file system may be read-only, which the mode does not tell.
writable() {
    local probe
    probe=$(mktemp -d "$1/.writable.XXXXXX" 2>/dev/null) && rmdir "$probe"
}

free_room() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; } # MiB
room() { printf '%s MiB are free there; a build takes about 1,500' "$(free_room "$1")"; }

# What the compiler says is kept in memory: the disk may be what is full.
build() {
    local said errors flags=(-c release "${without_debug_info[@]}" --package-path "$source" --product dep2p --static-swift-stdlib)
    say "building the release binary (the first time takes some minutes) …"
    said=$(swift build "${flags[@]}" 2>&1) || {
        errors=$(printf '%s\n' "$said" | grep -E 'error:|No space left' | head -n 20) || true
        printf '%s\n' "${errors:-$(printf '%s\n' "$said" | tail -n 20)}" >&2
        # What the compiler starts may not say why it failed: git, for one, whose words are not passed on.
        [ "$(free_room "$scratch")" -ge 100 ] || warn "No space left on device, or as good as none"
        fail "the build failed" "its errors are above ($scratch: $(room "$scratch"))" \
            "a clean start: rm -rf '$scratch' and run this again"
    }
    binary=$(swift build "${flags[@]}" --show-bin-path)/dep2p
    "$binary" --version || fail "the binary does not start"
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
    put 644 "$top/completions/dep2p.fish" "$(fish_folder)/dep2p.fish"
    binary=$prefix/bin/dep2p
    say "installed below $prefix: bin/dep2p, man pages, completions for bash, zsh and fish"
}

# Debian's fish looks below /usr/local only where XDG_DATA_DIRS says so, which it does not in a login.
fish_folder() {
    case "$prefix" in
    /usr/local | /usr/local/) printf '/etc/fish/completions' ;;
    *) printf '%s/share/fish/vendor_completions.d' "$prefix" ;;
    esac
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

work='' listener=''
cleanup() {
    [ -z "$listener" ] || kill "$listener" 2>/dev/null || true
    [ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$packages_only" = yes ]; then
    install_build_packages
    install_packages "${toolchain_packages[@]}"
    say "the system packages are in place"
    exit 0
fi
find_swift
install_build_packages
choose_folder
build
[ "$demo" = no ] || demonstrate
[ -z "$prefix" ] || install_below
next_steps
