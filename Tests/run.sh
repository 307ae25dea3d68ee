#!/usr/bin/env bash
# Installs what the tests need and runs all of them.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 71
# shellcheck source=Sources/packages.sh
. Sources/packages.sh

# With a plus between them stages run side by side: those that share neither ports nor files nor namespaces. A release build
# keeps one core busy for most of its time; whole processes, hostile peers and faults of networks are waited for.
all=(packages house build application release+unit processes+hostile+nat interop+generated benchmarks quickstart)
extra=(fresh)

usage() {
    cat <<TEXT
usage: Tests/run.sh [STAGE[+STAGE]…]

Runs the stages named, or all of them: ${all[*]}
Those with a plus between them run side by side.

  packages    what the build and the tests need, through apt and (for interop) pip
  house       formatting, shell and Python checks, man pages, what may stand where
  build       debug build of everything with its tests; a warning is a failure
  application a package that imports DeP2P alone sends and receives; the README's Swift example compiles
  generated   the committed Swift of the messages is what protoc makes of the .proto files
  release     release build of the binary and of the engine's benchmarks
  processes   whole processes under stress: killed and resumed, full disk, hostile names, wrong keys
  interop     libp2p for Python dials us and is dialled; BEP 52 roots and the BitTorrent DHT against libtorrent
  hostile     hostile peers with raw QUIC frames against the points of issue 7 (needs network namespaces)
  nat         network namespaces with NATs: each behaves as named, pairs of them meet, transfers outlive faults (needs root)
  benchmarks  every benchmark once, small: does it run
  quickstart  Sources/quickstart.sh --no-demo, twice, and an installation below a prefix
  unit        every unit test once, in several processes side by side

and, only when named:

  fresh       all of these in bare Debian 12 and 13 roots (Tests/Fresh/run.sh; needs root, takes an hour)

Ends with 0 when everything passed. DEP2P_SEED and DEP2P_ROUNDS set the seed and length of the random tests.
What the stages said is kept in .build/test-logs.
TEXT
}

packages() {
    find_swift
    install_build_packages
    install_packages zsh fish bash-completion mandoc man-db nftables iproute2 openssl openssh-client openssh-server gcc \
        python3 python3-venv python3-dev shellcheck procps coreutils acl protobuf-compiler systemd avahi-daemon avahi-utils \
        dbus-daemon dnsmasq-base nats-server mosquitto mosquitto-clients
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
    report "paths of one machine" "$(git grep -nE '(^|[^a-zA-Z0-9_.)])/(work|root|home/[a-z]+)/' -- Sources Tests '*.md')" || status=1
    report "XCTest, which the unit stage would not run" "$(git grep -n 'import XCTest' -- 'Tests/*.swift')" || status=1
    report "temporary folders that are not TestSupport's" "$(git grep -nE 'mkdtemp|NSTemporaryDirectory|"/tmp/dep2p' -- \
        'Tests/*.swift' ':!Tests/TestSupport')" || status=1
    report "errors that are lost without a reason" "$(python3 -B Tests/swallowed.py)" || status=1
    report "folders of SystemLayer that use each other" "$(python3 -B Tests/pairs.py)" || status=1
    report "types that a reader looks for elsewhere" "$(python3 -B Tests/named.py)" || status=1
    report "loops that sleep" "$(python3 -B Tests/polls.py)" || status=1
    report "tasks that detour through the thread pool, where virtual time runs on: networkTask is meant" \
        "$(git grep -nE '\bTask \{ @NetworkActor' -- 'Sources/*.swift' 'Tests/*.swift')" || status=1
    report "options or commands that the engine names" "$(git grep -nE -e '--[a-z]|"[^"]*dep2p (keygen|realm-key|start|listen|send|ping|relay|nat-check)' -- \
        'Sources/*.swift' ':!Sources/CLI' ':!*.pb.swift' | grep -vE ':[0-9]+: *//')" || status=1
    report "what reads the machine around a node's environment" "$(python3 -B Tests/machine.py)" || status=1
    report "tests that could ask nodes of the Internet's: of the BitTorrent DHT only mainline.py has some, its own" \
        "$(git grep -nE -e '--mainline\b|DEP2P_MAINLINE\b|publicMainlineNodes|router\.(bittorrent|utorrent)\.com|transmissionbt' -- Tests \
            ':!Tests/run.sh' ':!Tests/Interop/mainline.py' ':!Tests/CLITests/Transcripts' ':!Tests/CLITests/Commands/PlanTests.swift')" || status=1
    report "errors of protocols that would reach an application as a bug: translate them in DeP2PError.swift" \
        "$(untranslated_errors)" || status=1
    report "targets whose names another package may have: all but tests are DeP2P…, of C CDeP2P…" "$(common_names)" || status=1
    imports_only_go_down || status=1
    return $status
}

# The façade takes an error that it does not know for a bug. Left out is what ends below it: TransportFailure and RelayError in
# a ConnectAttempt, STUNError in the NAT check, DHTMessageError at whoever asked or answered, and MessageRefusal at whoever sent
# the message.
untranslated_errors() {
    local name
    for name in $(git grep -hoE '^(package|public) (struct|enum) [A-Za-z]+: Error' -- \
        Sources/SystemLayer Sources/RealmLayer Sources/AppLayer | sed -E 's/.* ([A-Za-z]+): Error/\1/'); do
        case $name in TransportFailure | RelayError | STUNError | DHTMessageError | MessageRefusal) continue ;; esac
        grep -qE "case .* as $name\\b" Sources/DeP2P/DeP2PError.swift || printf '%s\n' "$name"
    done
}

# Module names are global in a package graph, those of C targets too: two targets of one name, and neither package builds.
# The tests' are not in others' graphs. A module map names its module itself.
common_names() {
    swift package dump-package | python3 -c '
import json, re, sys
names = []
for target in json.load(sys.stdin)["targets"]:
    names += [target["name"]] if target["type"] != "test" else []
    if target["type"] == "system":
        with open(target.get("path", "Sources/" + target["name"]) + "/module.modulemap") as map:
            names += re.findall(r"^ *(?:explicit |framework )*module (\S+)", map.read(), re.M)
print(*sorted({name for name in names if not re.match("C?DeP2P", name)}), sep="\n")' || echo "the package's description cannot be read"
}

# report TITLE ROWS: prints them and fails when there are any.
report() {
    [ -n "$2" ] || return 0
    printf '%s:\n%s\n' "$1" "$2"
    return 1
}

imports_only_go_down() {
    # From the ground up, each folder with the module that it is.
    local floors=(Identity DeP2PIdentity Wire DeP2PWire Storage DeP2PStorage Reactor DeP2PReactor HTTP DeP2PHTTP
        QUIC DeP2PQUIC SystemLayer/Sessions DeP2PSessions SystemLayer/Reach DeP2PReach
        SystemLayer/Discovery DeP2PDiscovery RealmLayer DeP2PRealm AppLayer DeP2PApp DeP2P DeP2P CLI DeP2PCLI)
    local index above
    for ((index = 0; index < ${#floors[@]}; index += 2)); do
        above=$(IFS='|' && printf '%s' "${floors[*]:index+2}")
        [ -n "$above" ] || continue
        report "imports that climb" "$(git grep -nE "^ *(@[a-zA-Z]+ +|public |internal |package )*import ($above)\$" -- \
            "Sources/${floors[index]}")" || return 1
    done
    report "imports of the command's below the façade" "$(git grep -nE "^ *(@[a-zA-Z]+ +|public |internal |package )*import (struct |class |enum |protocol |func )?DeP2P[A-Za-z]" -- \
        Sources/CLI)"
}

# A cached build does not repeat its warnings; a fresh clone, as CI has, shows them all.
# Named products only: --build-tests would also build every tool of the packages that we depend on.
build() {
    local product
    for product in dep2p DeP2PBenchmarks dep2pPackageTests; do
        swift build "${without_debug_info[@]}" --product "$product" 2>&1 | tee -a "$logs/compile.log" |
            grep -vE '^\[[0-9]+/[0-9]+\] (Compiling|Emitting|Write|Wrapping)'
        [ "${PIPESTATUS[0]}" = 0 ] || return 1
    done
    report "warnings" "$(grep -E "^($top/)?(Sources|Tests|Package).*warning:" "$logs/compile.log" | sort -u)"
}

application() { Tests/Application/run.sh; }

generated() { Sources/protobuf.sh --check; }

release() {
    local product
    for product in dep2p DeP2PBenchmarks; do
        swift build -c release "${without_debug_info[@]}" --product "$product" --static-swift-stdlib || return 1
    done
}

# As the package manager links them; asking it takes seconds, and waits for whatever it builds.
release_binary() { printf '%s/.build/release/dep2p' "$top"; }
unit_bundle() { printf '%s/.build/debug/dep2pPackageTests.xctest' "$top"; }

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
        Tests/NATLab/run.sh --faults relay-killed,black-hole,nat-reboot,mtu-silent,tcp-narrow --size $((48 << 20)) "$binary"
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

unit() { python3 -B Tests/unit.py "$(unit_bundle)" --logs "$logs/unit"; }

fresh() { Tests/Fresh/run.sh; }

IFS=' +' read -ra names <<<"${all[*]} ${extra[*]}"
for argument in "$@"; do
    for stage in ${argument//+/ }; do
        case " ${names[*]} " in *" $stage "*) ;; *)
            usage
            case "$argument" in -h | --help) exit 0 ;; *) exit 64 ;; esac
            ;;
        esac
    done
done
[ $# -gt 0 ] && plan=("$@") || plan=("${all[@]}")

logs=$top/.build/test-logs
rm -rf "$logs" && mkdir -p "$logs" || exit 73
# Others may pass through to what they are given there: some tests run programs as another user.
temporary=$(mktemp -d) && chmod 711 "$temporary" || exit 73
running=()
end() {
    local job
    for job in "${running[@]}"; do kill -TERM -- "-$job" 2>/dev/null; done
    rm -rf --one-file-system "$temporary"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The toolchain has to be on PATH in this shell, not only in the first stage's.
find_swift

# In a temporary folder of its own, which has to be as empty at its end as it was; but for what the package manager leaves.
run_stage() { # run_stage STAGE
    local started=$SECONDS verdict=passed left
    mkdir -m 711 "$temporary/$1"
    export TMPDIR=$temporary/$1
    printf '\n=== %s\n' "$1"
    ("$1") || verdict=FAILED
    left=$(find "$TMPDIR" -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -vE '^(TemporaryDirectory\.[A-Za-z0-9]{6}|swift-generated-sources|_.*\.lock)$')
    report "left in the temporary folder" "$left" || verdict=FAILED
    printf '%-11s %-6s %4d s\n' "$1" "$verdict" $((SECONDS - started)) >"$temporary/$1.verdict"
}

# The first speaks as it runs, the others when it has ended.
run_beside() { # run_beside STAGE…
    local stage
    set -m
    for stage in "${@:2}"; do
        run_stage "$stage" >"$logs/$stage.log" 2>&1 &
        running+=($!)
    done
    set +m
    run_stage "$1" 2>&1 | tee "$logs/$1.log"
    wait "${running[@]}"
    running=()
    for stage in "${@:2}"; do cat "$logs/$stage.log"; done
}

# What failed in a stage, in few lines, by its log: the checks that say so with what they say of it, else its errors, else its
# end. Of a long output the end alone is sure to be seen.
why() { # why STAGE
    awk '{ $0 = substr($0, 1, 600) }
        /FAILED/ { left = 4; indented = 1 } /^left in the temporary folder/ { left = 4; indented = 0 }
        indented && !/FAILED/ && !/^  / { left = 0 }
        left > 0 && checks < 30 { check[checks++] = $0 } { left-- }
        /error:|unbound variable|: No such file|command not found/ && errors < 15 { error[errors++] = $0 }
        { end[NR % 15] = $0 }
        END {
            if (checks) for (i = 0; i < checks; i++) print "  " check[i]
            else if (errors) for (i = 0; i < errors; i++) print "  " error[i]
            else for (i = NR > 15 ? NR - 14 : 1; i <= NR; i++) print "  " end[i % 15]
        }' "$logs/$1.log"
}

summary=() whys=() failed=0 needed=
for group in "${plan[@]}"; do
    # shellcheck disable=SC2086
    run_beside ${group//+/ }
    for stage in ${group//+/ }; do
        # Only what says so has passed: a verdict may be missing, or empty where the disk was full.
        verdict=$(cat "$temporary/$stage.verdict" 2>/dev/null)
        [[ $verdict =~ ^$stage\ +(passed|FAILED) ]] || verdict="$stage FAILED, and left no verdict"
        summary+=("$verdict")
        [[ $verdict =~ ^$stage\ +passed ]] || { failed=$((failed + 1)) && whys+=("$stage failed:" "$(why "$stage" 2>&1)"); }
        # Nothing below can pass without these.
        [[ ! $verdict =~ ^(packages|build|release)\ +FAILED ]] || needed=missing
    done
    [ -z "$needed" ] || { summary+=("the rest was not run") && break; }
done

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}" "$(printf '%-18s %4d s' altogether $SECONDS)"
[ ! -f "$logs/unit.log" ] || tail -n 2 "$logs/unit.log"
[ "$failed" = 0 ] || printf '%s\n' '' "${whys[@]}"
[ "$failed" = 0 ]
