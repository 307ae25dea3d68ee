#!/usr/bin/env bash
# What hostile peers do to a node, and what it has to stand: Tests/Hostile/run.sh BINARY [TEST…]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -lt 1 ]; then
    echo "usage: Tests/Hostile/run.sh BINARY [TEST…]" >&2
    exit 64
fi
"$here/../Interop/setup.sh"
exec "$here/../../.build-interop/venv/bin/python" -B "$here" "$@"
