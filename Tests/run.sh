#!/usr/bin/env bash
# Installs what the tests need and runs all of them.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 71
# shellcheck source=Sources/packages.sh
. Sources/packages.sh

all=(packages house build generated release processes interop hostile nat benchmarks quickstart unit)
extra=(fresh)

usage() {
    cat <<TEXT
usage: Tests/run.sh [STAGE…]

Runs the stages named, or all of them: ${all[*]}

  packages    what the build and the tests need, through apt and (for interop) pip
  house       formatting, shell and Python checks, man pages, what may stand where
  build       debug build of everything with its tests; a warning is a failure
  generated   the committed Swift of the messages is what protoc makes of the .proto files
  release     release build of the binary and of the engine's benchmarks
  processes   whole processes under stress: killed and resumed, full disk, hostile names, wrong keys
  interop     libp2p for Python dials us and is dialled; BEP 52 roots against libtorrent
  hostile     hostile peers with raw QUIC frames against the points of issue 7 (needs network namespaces)
  nat         network namespaces with NATs: each behaves as named, pairs of them meet, transfers outlive faults (needs root)
  benchmarks  every benchmark once, small: does it run
  quickstart  Sources/quickstart.sh --no-demo, twice, and an installation below a prefix
  unit        swift test

and, only when named:

  fresh       all of these in bare Debian 12 and 13 roots (Tests/Fresh/run.sh; needs root, takes an hour)

Ends with 0 when everything passed. DEP2P_SEED and DEP2P_ROUNDS set the seed and length of the random tests.
TEXT
}

packages() {
    find_swift
    install_build_packages
    install_packages zsh fish bash-completion mandoc man-db nftables iproute2 openssl openssh-client openssh-server gcc \
        python3 python3-venv python3-dev shellcheck procps coreutils acl protobuf-compiler
    Tests/Interop/setup.sh
}

swift_files() { git ls-files '*.swift' | grep -v '\.pb\.swift$'; }

house() {
    local status=0 rows
    swift_files | tr '\n' '\0' | xargs -0 swift format lint --strict --parallel --configuration .swift-format || status=1
    git ls-files '*.sh' .ci/run | tr '\n' '\0' | xargs -0 shellcheck -x -e SC1007 || status=1
    git ls-files '*.py' | tr '\n' '\0' | xargs -0 -r python3 -B -c \
        'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' || status=1
    if compgen -G 'man/*.1' >/dev/null; then
        mandoc -T lint -W warning man/*.1 || status=1
        rows=$(for page in man/*.1; do MANROFFSEQ='' LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null; done)
        report "man --warnings" "$rows" || status=1
    fi
    report "at the top level beyond what the design allows" "$(git ls-files | cut -d/ -f1 | sort -u |
        grep -vxE 'Package\.swift|README\.md|LICENSE|Sources|Tests|completions|man|\..*')" || status=1
    report "left to do" "$(git grep -nE 'TODO|FIXME|fatalError\(|try!|as!' -- 'Sources/*.swift' ':!*.pb.swift')" || status=1
    report "paths of one machine" "$(git grep -nE '(^|[^a-zA-Z0-9_.)])/(work|root|home/[a-z]+)/' -- Sources Tests '*.md' ':!Tests/run.sh' ':!Tests/Fresh/run.sh')" || status=1
    imports_only_go_down || status=1
    return $status
}

# report TITLE ROWS: prints them and fails when there are any.
report() {
    [ -n "$2" ] || return 0
    printf '%s:\n%s\n' "$1" "$2"
    return 1
}

imports_only_go_down() {
    local floors=(Identity Wire QUIC SystemLayer RealmLayer AppLayer DeP2P CLI) index above
    for index in "${!floors[@]}"; do
        above=$(IFS='|' && printf '%s' "${floors[*]:index+1}")
        [ -n "$above" ] || continue
        report "imports that climb" "$(git grep -nE "^ *(@[a-zA-Z]+ +|public |internal |package )*import ($above)\$" -- \
            "Sources/${floors[index]}")" || return 1
    done
}

# A cached build does not repeat its warnings; a fresh clone, as CI has, shows them all.
# Named products only: --build-tests would also build every tool of the packages that we depend on.
build() {
    local product
    for product in dep2p Benchmarks dep2pPackageTests; do
        swift build --product "$product" 2>&1 | tee -a "$logs/compile.log" |
            grep -vE '^\[[0-9]+/[0-9]+\] (Compiling|Emitting|Write|Wrapping)'
        [ "${PIPESTATUS[0]}" = 0 ] || return 1
    done
    report "warnings" "$(grep -E "^($top/)?(Sources|Tests|Package).*warning:" "$logs/compile.log" | sort -u)"
}

generated() { Sources/protobuf.sh --check; }

release() {
    swift build -c release --product dep2p --static-swift-stdlib &&
        swift build -c release --product Benchmarks --static-swift-stdlib
}

release_binary() { printf '%s/dep2p' "$(swift build -c release --static-swift-stdlib --show-bin-path)"; }

processes() { python3 -B Tests/Torture --dep2p "$(release_binary)"; }

interop() { Tests/Interop/run.sh "$(release_binary)"; }

hostile() { Tests/Hostile/fuzz/run.sh && Tests/Hostile/run.sh "$(release_binary)"; }

nat() {
    if [ ! -x Tests/NATLab/run.sh ]; then
        say "there is no Tests/NATLab/run.sh"
        return 0
    fi
    [ "$(id -u)" = 0 ] || { say "needs root: network namespaces"; [ -z "${CI:-}" ]; return; }
    local binary
    binary=$(release_binary)
    Tests/NATLab/run.sh --self-test --pairs ci --runs 1 "$binary" &&
        Tests/NATLab/run.sh --faults relay-killed,black-hole,nat-reboot,mtu-silent --size $((48 << 20)) "$binary"
}

benchmarks() { Tests/Benchmarks/run.sh --smoke; }

quickstart() {
    local prefix
    prefix=$(mktemp -d)
    Sources/quickstart.sh && Sources/quickstart.sh --no-demo --install "$prefix" && "$prefix/bin/dep2p" --version &&
        [ -s "$prefix/share/man/man1/dep2p.1" ]
    local status=$?
    rm -rf "$prefix"
    return $status
}

# One after another: they share the one network thread of the process, whose virtual time passes while it is idle.
# The log of a passed test says nothing; failures, and the closing lines, stay.
unit() {
    swift test --skip-build --no-parallel 2>&1 | tee "$logs/test.log" | grep -vE '^(◇|✔) (Test|Suite) [^r]|^Test (Case|Suite)'
    return "${PIPESTATUS[0]}"
}

fresh() { Tests/Fresh/run.sh; }

for argument in "$@"; do
    case " ${all[*]} ${extra[*]} " in *" $argument "*) ;; *)
        usage
        case "$argument" in -h | --help) exit 0 ;; *) exit 64 ;; esac
        ;;
    esac
done
[ $# -gt 0 ] && stages=("$@") || stages=("${all[@]}")

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The toolchain has to be on PATH in this shell, not only in the first stage's.
find_swift

summary=() failed=0
for stage in "${stages[@]}"; do
    printf '\n=== %s\n' "$stage"
    started=$SECONDS
    if ("$stage"); then verdict=passed; else verdict=FAILED failed=$((failed + 1)); fi
    summary+=("$(printf '%-11s %-6s %4d s' "$stage" "$verdict" $((SECONDS - started)))")
    # Nothing below can pass without these.
    case "$stage:$verdict" in packages:FAILED | build:FAILED | release:FAILED) summary+=("the rest was not run") && break ;; esac
done

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
[ ! -f "$logs/test.log" ] || grep -E 'Test run with|^Executed [0-9]+ test' "$logs/test.log" | tail -n 2
[ "$failed" = 0 ]
