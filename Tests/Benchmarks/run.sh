#!/usr/bin/env bash
# Builds what the benchmarks need and runs them: Tests/Benchmarks/run.sh [ROW…] [--runs N] [--json FILE] [--smoke]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"

find_swift
install_build_packages
install_packages gcc openssl openssh-client openssh-server python3 nats-server mosquitto mosquitto-clients iproute2 nftables procps

out=$top/.build-benchmarks
mkdir -p "$out"
cc -O2 -Wall -Wextra -Werror -o "$out/tlsloop" "$here/Baselines/tlsloop.c" -lssl -lcrypto

flags=(-c release "${without_debug_info[@]}" --package-path "$top" --static-swift-stdlib)
for product in dep2p DeP2PBenchmarks; do
    swift build "${flags[@]}" --product "$product" >"$out/build.log" 2>&1 || {
        grep -m 20 'error:' "$out/build.log" >&2 || tail -n 20 "$out/build.log" >&2
        fail "the release build of $product failed" "its errors are above"
    }
done
binaries=$(swift build "${flags[@]}" --show-bin-path)

exec python3 -B "$here/harness" --dep2p "$binaries/dep2p" --engine "$binaries/DeP2PBenchmarks" --loop "$out/tlsloop" "$@"
