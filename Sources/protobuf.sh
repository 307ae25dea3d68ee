#!/usr/bin/env bash
# Makes Sources/Wire/Generated from Sources/Wire/Protos; with --check says whether it is what they give, and writes nothing.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"

case "${1:-}" in
'') target=$top/Sources/Wire/Generated ;;
--check) target=$(mktemp -d) && trap 'rm -rf "$target"' EXIT ;;
*) fail "unknown argument $1" "usage: Sources/protobuf.sh [--check]" ;;
esac

find_swift
command -v protoc >/dev/null || install_packages protobuf-compiler

# The plugin comes with the library that the generated code is built against, so that the two fit. With the flags of
# Tests/run.sh: with others it would build that library anew, and the next build all that is above it.
said=$(swift build "${without_debug_info[@]}" --package-path "$top" --product protoc-gen-swift 2>&1) || {
    printf '%s\n' "$said" | tail -n 20 >&2
    fail "the plugin of protoc could not be built" "its errors are above"
}
plugin=$(swift build "${without_debug_info[@]}" --package-path "$top" --show-bin-path)/protoc-gen-swift

cd "$top/Sources/Wire/Protos"
protoc --plugin="$plugin" --swift_opt=Visibility=Package --swift_opt=UseAccessLevelOnImports=true \
    --swift_out="$target" ./*.proto

if [ "${1:-}" = --check ]; then
    diff -r "$top/Sources/Wire/Generated" "$target" >/dev/null ||
        fail "Sources/Wire/Generated is not what Sources/Wire/Protos give" \
            "run Sources/protobuf.sh and commit what it writes ($(protoc --version), protoc-gen-swift $("$plugin" --version | grep -o '[0-9.]*$'))"
fi
