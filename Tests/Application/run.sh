#!/usr/bin/env bash
# Builds and runs an application that imports DeP2P alone, over the debug build that is there. What the README shows is
# one of its files, and each example of the articles (Sources/DeP2P/DeP2P.docc) stands in another, word for word.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)

diff -u <(awk '/^```swift$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$top/README.md") "$here/Sources/Example.swift" || {
    echo "README.md: the Swift example is not Tests/Application/Sources/Example.swift" >&2
    exit 1
}
python3 -B - "$top/Sources/DeP2P/DeP2P.docc" "$here/Sources/Articles.swift" <<'CHECK'
import pathlib, re, sys
articles, source = sorted(pathlib.Path(sys.argv[1]).glob("*.md")), pathlib.Path(sys.argv[2]).read_text()
examples = [(article.name, example) for article in articles
            for example in re.findall(r"^```swift\n(.*?)^```$", article.read_text(), re.M | re.S)]
lost = sorted({name for name, example in examples if example not in source})
if lost or len(examples) < 6:
    sys.exit(f"examples that are not in Tests/Application/Sources/Articles.swift: {lost}, of {len(examples)}")
CHECK
# In the folder of the repository's own build, so that what that has compiled is compiled already. The package manager keeps
# one plan to a folder and believes it: the repository's is put back afterwards.
build=$top/.build
folder=$(mktemp -d)
plans=(debug.yaml debug/description.json workspace-state.json)
put_back() {
    local plan
    for plan in "${plans[@]}"; do [ ! -f "$folder/${plan##*/}" ] || cp -p "$folder/${plan##*/}" "$build/$plan"; done
    rm -rf "$folder"
}
trap put_back EXIT
for plan in "${plans[@]}"; do [ ! -f "$build/$plan" ] || cp -p "$build/$plan" "$folder/"; done

# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"
swift=(swift build "${without_debug_info[@]}" --disable-build-manifest-caching --package-path "$here" --scratch-path "$build" --product Application)
"${swift[@]}"
binary=$("${swift[@]}" --show-bin-path)/Application
mkdir "$folder/keys"
head -c 3000000 /dev/urandom >"$folder/disk.img"
timeout 120 "$binary" "$folder/disk.img" "$folder/inbox" "$folder/keys"
cmp "$folder/disk.img" "$folder/inbox/disk.img"
