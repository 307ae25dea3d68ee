#!/usr/bin/env bash
# Hostile peers against the installed ngtcp2 through our door, in one process and without a network:
#   Tests/Hostile/fuzz/run.sh [SECONDS [SEED]]     every known attack, then random frames (10 s)
#   Tests/Hostile/fuzz/run.sh --bare               the attacks without the guard: which of them the library stands
# DEP2P_SANITIZE=address builds it with a sanitizer. A failure names the seed that repeats it.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
door=$top/Sources/CQUICShim
reactor=$top/Sources/CReactor
lanes=$top/Sources/CIPSecMB
compiler=$(command -v clang || command -v gcc)
flags=(-std=gnu11 -g -O1 -Wall -Wextra -Werror -D_GNU_SOURCE "-I$door" "-I$door/include" "-I$reactor/include" "-I$lanes/include")
[ -z "${DEP2P_SANITIZE:-}" ] || flags+=("-fsanitize=$DEP2P_SANITIZE" -fno-omit-frame-pointer)
read -ra libraries < <(pkg-config --cflags --libs libngtcp2 libngtcp2_crypto_gnutls gnutls openssl libsodium)
[ "$(uname -m)" != x86_64 ] || libraries+=(-lIPSec_MB)
"$compiler" "${flags[@]}" "$top"/Tests/Hostile/fuzz/*.c "$door"/*.c "$lanes/gcm.c" "$reactor/address.c" \
    "${libraries[@]}" -lhogweed -lnettle -lgmp -o "$work/fuzz"
if [ "${1:-}" = --bare ]; then
    "$work/fuzz" proofs --bare || true
    exit 0
fi
"$work/fuzz" proofs
"$work/fuzz" random "${1:-10}" "${2:-$(date +%s)}"
