#!/usr/bin/env bash
# Holds dep2p against independent implementations: Tests/Interop/run.sh BINARY [--control]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -lt 1 ]; then
    echo "usage: Tests/Interop/run.sh BINARY [--control]" >&2
    exit 64
fi
"$here/setup.sh"
python=$here/../../.build-interop/venv/bin/python
"$python" -B -W ignore::DeprecationWarning "$here/interop.py" "$@"
[[ " $* " == *" --control "* ]] && exit 0
"$python" -B "$here/lan.py" "$1"
"$python" -B "$here/mainline.py" "$1"
