#!/usr/bin/env bash
# Writes Sources/Link/order.txt: the functions that the linker puts side by side, since they run.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: Sources/order.sh [BINARY]

Runs the release binary (.build/release/dep2p) under valgrind: a listener, and senders of messages, of a file and of a
folder of small files, in a network of their own (as root, or where users may have namespaces). What ran is written to
Sources/Link/order.txt, which the linker reads when a release build links next. Takes two minutes.
TEXT
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"

case "${1:-}" in
-h | --help) usage && exit 0 ;;
-*) usage >&2 && exit 64 ;;
esac
binary=$(realpath -e "${1:-$top/.build/release/dep2p}") ||
    fail "there is no release binary" "swift build -c release --product dep2p --static-swift-stdlib"

# Multicast DNS is part of each start, and reaches nobody here.
if [ "${DEP2P_ORDER_INSIDE:-}" != yes ]; then
    install_packages valgrind iproute2 binutils python3
    export DEP2P_ORDER_INSIDE=yes
    exec unshare --net --map-root-user "${BASH_SOURCE[0]}" "$binary"
fi
ip link set lo up

work=$(mktemp -d)
listener=''
trap '[ -z "$listener" ] || kill "$listener" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work"/{listener,sender,inbox,notes}
# Names suffice, and valgrind does not read what every compiler writes of lines and types.
strip --strip-debug -o "$work/dep2p" "$binary"

# What runs once for each of the connections, or for each part of the file, runs while somebody waits for it.
messages=4 connections=6 parts=16
head -c 4194304 /dev/urandom >"$work/disk.img"
for number in $(seq 40); do echo "note $number" >"$work/notes/$number"; done

# profile NAME ARGUMENT…: becomes the program, and leaves in NAME.profile which functions ran.
profile() {
    local name=$1
    shift
    exec valgrind -q --tool=callgrind --demangle=no --compress-strings=no --compress-pos=no \
        --callgrind-out-file="$work/$name.profile" "$work/dep2p" "$@"
}

listen() {
    XDG_DATA_HOME=$work/listener profile listen listen --realm-key "$work/realm.key" -o "$work/inbox" --json \
        --listen 127.0.0.1:0
}

send() { # send NAME ARGUMENT…
    local name=$1
    shift
    (XDG_DATA_HOME=$work/sender profile "$name" send --realm-key "$work/realm.key" --to "$address" -q "$@")
}

"$work/dep2p" realm-key -q -o "$work/realm.key" >/dev/null
listen >"$work/listen.json" 2>"$work/listen.err" &
listener=$!
address=''
for _ in $(seq 600); do
    address=$(sed -n 's/.*"addresses":\["\([^"]*\)".*/\1/p' "$work/listen.json" | sed 's|\\/|/|g' | head -n 1)
    [ -z "$address" ] || break
    kill -0 "$listener" 2>/dev/null || break
    sleep 0.1
done
[ -n "$address" ] || fail "the listening node did not start" "$(tail -n 3 "$work/listen.err")"

send message -m 'build 512 is green'
for _ in $(seq "$((messages - 1))"); do
    XDG_DATA_HOME=$work/sender "$work/dep2p" send --realm-key "$work/realm.key" --to "$address" -q -m 'build 512 is green'
done
send file "$work/disk.img"
send folder "$work/notes"
kill -INT "$listener"
wait "$listener" || fail "the listening node failed" "$(tail -n 3 "$work/listen.err")"
listener=''

python3 -B "$top/Sources/order.py" "$work" "$work/dep2p" "$connections" "$parts" >"$work/order.txt"
[ "$(wc -l <"$work/order.txt")" -gt 1000 ] || fail "the profiles name next to no functions" "has the binary been stripped?"
mv "$work/order.txt" "$top/Sources/Link/order.txt"
