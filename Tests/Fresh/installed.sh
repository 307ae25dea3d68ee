#!/usr/bin/env bash
# What Sources/quickstart.sh --install /usr/local has put there, as users of the system find it; run in a fresh root by
# Tests/Fresh/run.sh when the stages have passed. The second run has nothing to compile.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=Sources/packages.sh
. "$top/Sources/packages.sh"
failed=0 passed=0

expect() { # expect NAME WORDS -- COMMAND…: it ends with 0 and says the words
    local name=$1 words=$2 said status=0
    shift 3
    said=$("$@" 2>&1 </dev/null) || status=$?
    if [ $status = 0 ] && [[ $said = *"$words"* ]]; then
        passed=$((passed + 1)) && printf 'ok      %s\n' "$name"
    else
        failed=$((failed + 1)) && printf 'FAILED  %s: status %s, without: %s\n%s\n' "$name" $status "$words" "$(tail -n 12 <<<"$said")"
    fi
}

# In a temporary folder without room, which the build does not need.
small=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs "$small"
head -c 65536 /dev/zero >"$small/full"
expect "installed below /usr/local, with a full temporary folder" "installed below /usr/local" -- \
    env TMPDIR="$small" "$top/Sources/quickstart.sh" --install /usr/local
umount "$small" && rmdir "$small"

builds() { swift build -c release "${without_debug_info[@]}" --package-path "$top" --product dep2p --static-swift-stdlib 2>&1; }
compiles_nothing() { ! { builds && builds; } | grep -E 'Compiling|error:'; }
expect "a second run compiles nothing" "" -- compiles_nothing

cd /
expect "the program runs" "dep2p " -- env -i PATH=/usr/local/bin dep2p --version
# By its real name: on Debian /usr/local/man is a link to share/man, and man takes either.
found_manual() { readlink -f "$(man -w dep2p)"; }
expect "the manual is found" /usr/local/share/man/man1/dep2p.1 -- found_manual
# shellcheck disable=SC2016
expect "bash completes" "dep2p" -- bash -c '. /usr/share/bash-completion/bash_completion
    { _comp_load dep2p || _completion_loader dep2p; } 2>/dev/null; complete -p dep2p'
expect "a login's fish completes" "realm-key" -- env HOME=/root fish -l -c 'complete -C "dep2p realm"'
# shellcheck disable=SC2016
expect "zsh completes" "_dep2p" -- zsh -c 'autoload -Uz compinit && compinit -D -u && echo "${_comps[dep2p]}"'
# Debian's packages of the libraries that the program names, but for those that every system has.
needed_packages() {
    local library
    for library in $(objdump -p /usr/local/bin/dep2p | awk '$1 == "NEEDED" && $2 !~ /^ld-/ { print $2 }'); do
        dpkg-query -S "*/$library" | cut -d: -f1
    done | sort -u | grep -vxE 'libc6|libgcc-s1'
}
named_packages() {
    # shellcheck disable=SC1091
    (. /etc/os-release && sed -n "s/^| to run |.*Debian $VERSION_ID: \([^;.]*\).*/\1/p" "$top/README.md" | grep -oE '(z|\b)lib[a-z0-9+-]+' | sort -u)
}
expect "README names the packages to run it" "" -- diff <(needed_packages) <(named_packages)

printf '%s passed, %s failed\n' $passed $failed
[ $failed = 0 ]
