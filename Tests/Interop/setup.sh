#!/usr/bin/env bash
# Makes the Python environment of the interoperability tests in .build-interop; nothing to do when it stands.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/../../.build-interop/venv
stamp=$venv/requirements.txt
if cmp -s "$here/requirements.txt" "$stamp" && "$venv/bin/python" -c 'import libp2p, libtorrent, prometheus_client, zeroconf' 2>/dev/null; then
    exit 0
fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" --quiet --disable-pip-version-check install wheel
"$venv/bin/pip" --quiet --disable-pip-version-check install -r "$here/requirements.txt"
cp "$here/requirements.txt" "$stamp"
