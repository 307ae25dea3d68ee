# shellcheck shell=bash
# Sourced by packages.sh: installs ngtcp2, the QUIC library.
#
# Why 1.11 and not what Debian 12 and Ubuntu 24.04 have of their own (0.12): before 1.4 a peer ends the process with one
# packet of two NEW_CONNECTION_ID frames, and the thirty releases between mend more that a peer can reach. CVE-2026-40170,
# mended in 1.22.1 and in Debian's 1.11.0-1+deb13u1, is in the writer of qlog files, which dep2p never switches on.
#
# Why built here: its BBR takes random loss above 2 % for congestion and offers no setting (ngtcp2_changes). So upstream's
# release is built with that changed, static and for dep2p alone. Where that can't be done, a package of the system serves:
# all works, but links that lose packets are filled badly.
ngtcp2_minimum=1.11.0

# Upstream's own archive, signed there; Debian's source package holds the same file.
ngtcp2_release=1.11.0
ngtcp2_sha256=382c15bf66b630f26021631b25b7eb1feac42c67c1d6826189d61091dfaa4d09
ngtcp2_upstream=https://github.com/ngtcp2/ngtcp2/releases/download/v$ngtcp2_release/ngtcp2-$ngtcp2_release.tar.xz
ngtcp2_pool=pool/main/n/ngtcp2/ngtcp2_$ngtcp2_release.orig.tar.xz
# Where pkg-config and compilers look before they look at the system's packages.
ngtcp2_prefix=/usr/local

# What is changed: file, sed expression, and again. Each has to match one line, no less and no more.
#
# BBR takes a round's loss for congestion from 40 % on, not from 2 % (issue 7.2), and only such a loss lowers its estimates,
# not that of any one packet. 1.11 follows draft-ietf-ccwg-bbr; 0.12 (BBR version 1) did not look at losses. Radio links
# lose more than 2 % without any congestion. What loses half of a round is no radio link: a start that goes to 2.8 times
# the rate of a shallow queue still ends by it.
#
# The best rate is that of the last two cycles of probing (draft-ietf-ccwg-bbr, MaxBwFilterLen), and a cycle ends once: 1.11
# ends one with each round trip until the next probe. What random loss takes from each round's rate multiplies then: on a
# link of 30 ms that loses 3 % the rate was seen to fall from 6.1 to 3.7 MB/s in a hundred rounds.
#
# What is to be acknowledged rides in a packet with data that goes anyway (RFC 9000 13.2.1), instead of in one of its own some
# milliseconds later: over a relay each costs 44 bytes. Not in packets longer than every path takes: on a path that has
# become narrower both sides' acknowledgements would be lost with their data, and neither learnt what arrives.
#
# What may be under way is never less than three milliseconds bring, at any rate: 1.11 counts three bursts for that, of a
# millisecond each but of 64 KiB at most, so that from half a gigabit on the time shrinks, and processes that wait for each
# other's turns leave a short path empty.
#
# The shortest round trip is looked for each 10 s and believed for 20, instead of 5 and 10 (BBR version 1 looks each 10 s):
# each look leaves the link half empty for 200 ms and a round trip.
ngtcp2_changes=(
    lib/ngtcp2_bbr.c 's/^\(#define NGTCP2_BBR_LOSS_THRESH_NUMER\) 2$/\1 40/'
    lib/ngtcp2_bbr.c 's/^\( *if (bbr->loss_in_round\)) {$/\1 \&\& is_inflight_too_high(\&bbr->rst->rs)) {/'
    lib/ngtcp2_bbr.c 's/^ *if (bbr_is_in_probe_bw_state(bbr) && !bbr->rst->rs.is_app_limited) {$/bbr->ack_phase = NGTCP2_BBR_ACK_PHASE_ACKS_PROBE_FEEDBACK; &/'
    lib/ngtcp2_bbr.c 's/^\(#define NGTCP2_BBR_PROBE_RTT_INTERVAL (\)5 /\110 /'
    lib/ngtcp2_bbr.c 's/^\(#define NGTCP2_BBR_MIN_RTT_FILTERLEN (\)10 /\120 /'
    lib/ngtcp2_bbr.c 's/^\( *bbr->offload_budget = \)\(3 \* cstat->send_quantum\);$/\1ngtcp2_max_uint64(\2, bbr->bw \/ 1000 * 3);/'
    lib/ngtcp2_conn.c 's/^\( *&pktns->acktr, &mfr.fr, type, ts,\) \(conn_compute_ack_delay(conn),\)$/\1 send_stream \&\& destlen <= NGTCP2_MAX_UDP_PAYLOAD_SIZE ? 0 : \2/'
)

ngtcp2_packages=(libngtcp2-dev libngtcp2-crypto-gnutls-dev)

ngtcp2_suffices() {
    pkg-config --exists "libngtcp2 >= $ngtcp2_minimum" "libngtcp2_crypto_gnutls >= $ngtcp2_minimum" 2>/dev/null
}

# The build below, with the changes of today.
ngtcp2_is_ours() {
    [ "$(pkg-config --variable=dep2p libngtcp2 2>/dev/null)" = "$(ngtcp2_mark)" ] && ngtcp2_suffices
}
ngtcp2_mark() { printf '%s-%.16s' "$ngtcp2_release" "$(printf '%s\n' "${ngtcp2_changes[@]}" | sha256sum)"; }

install_ngtcp2() {
    ! ngtcp2_is_ours || return 0
    if ! can_be_root; then
        ngtcp2_suffices || fail_without_root "${ngtcp2_packages[@]}" "(of version $ngtcp2_minimum or later)"
        warn_of_package "root has not run Sources/quickstart.sh --packages"
        return 0
    fi
    install_packages gcc make pkg-config xz-utils libc6-dev libgnutls28-dev
    if ngtcp2_from_source; then return 0; fi
    warn_of_package "ngtcp2 $ngtcp2_release could not be built, as the messages above say"
    ngtcp2_suffices || ngtcp2_from_package
    ngtcp2_suffices || fail "ngtcp2 $(pkg-config --modversion libngtcp2 2>/dev/null || echo '(none)') is too old: $ngtcp2_minimum or later is needed" \
        "the messages above say why it could not be installed" \
        "install it by hand so that this says 1.11 or later: pkg-config --modversion libngtcp2 libngtcp2_crypto_gnutls"
}

warn_of_package() {
    warn "ngtcp2 is the system's own instead of the one changed for dep2p ($1):" \
        "links that lose packets at random will be filled badly, one of 30 ms and 3 % loss to 11 % instead of 83 %"
}

# Debian 13 and later have it; Debian 12 has it in its backports.
ngtcp2_from_package() {
    local system
    # shellcheck disable=SC1091
    system=$(. /etc/os-release && printf '%s %s' "${ID:-}" "${VERSION_CODENAME:-}")
    update_lists
    if at_least "$(ngtcp2_candidate)" "$ngtcp2_minimum"; then
        say "installing: ${ngtcp2_packages[*]}"
        apt install --no-install-recommends "${ngtcp2_packages[@]}" || true
    elif [ "$system" = "debian bookworm" ]; then
        ngtcp2_from_backports bookworm || true
    fi
}

# The version that the machine's own apt sources offer, without Debian's revision.
ngtcp2_candidate() {
    LC_ALL=C apt-cache policy "${ngtcp2_packages[0]}" | sed -n 's/^ *Candidate: *\([0-9][0-9.]*\).*/\1/p' | grep . || echo 0
}

# ngtcp2_from_backports CODENAME: the machine's own archive and key, the backports suite, these packages alone. What apt
# is told for this stands in a folder that goes again: the machine's sources and preferences stay as they are.
ngtcp2_from_backports() {
    local suite=$1-backports archive key state status options
    archive=$(ngtcp2_archive "$1" Repo-URI)
    [ -n "$archive" ] || { warn "apt's sources do not name Debian's archive of $1: its backports are not tried"; return 1; }
    key=$(ngtcp2_archive_key "$1")
    say "installing: ${ngtcp2_packages[*]} from $suite at $archive (for this once: apt's sources stay as they are)"
    state=$(mktemp -d) && chmod 755 "$state" && mkdir -p "$state/lists/partial" || return 1
    printf 'deb %s%s %s main\n' "${key:+[signed-by=$key] }" "$archive" "$suite" >"$state/sources.list"
    printf 'Package: libngtcp2*\nPin: release n=%s\nPin-Priority: 990\n' "$suite" >"$state/preferences"
    options=(-o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::Etc::Preferences=$state/preferences" -o Dir::Etc::PreferencesParts=/dev/null
        -o "Dir::State::Lists=$state/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt "${options[@]}" update && apt "${options[@]}" install --no-install-recommends "${ngtcp2_packages[@]}"
    status=$?
    as_root rm -rf "$state"
    return $status
}

# ngtcp2_archive CODENAME FIELD: what apt knows of the archive that it has Debian CODENAME's packages from.
ngtcp2_archive() {
    apt-get indextargets --format "\$($(tr a-z- A-Z_ <<<"$2"))" \
        'Created-By: Packages' "Codename: $1" 'Component: main' 'Origin: Debian' 2>/dev/null | head -n 1
}

# The key file that the machine's sources name for that archive; nothing when apt's own trusted keys are meant.
ngtcp2_archive_key() {
    local entry file number
    entry=$(ngtcp2_archive "$1" Sourcesentry)
    file=${entry%:*} number=${entry##*:}
    [ -r "$file" ] || return 0
    case "$file" in
    *.sources) awk -v RS= -v number="$number" 'NR == number' "$file" ;;
    *) sed -n "${number}p" "$file" ;;
    esac | sed -n 's|.*[Ss]igned-[Bb]y[=:] *\(/[^] ,]*\).*|\1|p' | head -n 1
}

# Builds the pinned release with our changes. Fails, and says why, where that can't be done.
ngtcp2_from_source() {
    local work said status=0
    work=$(mktemp -d) || fail "no temporary folder" "TMPDIR names one with room"
    if ngtcp2_fetch "$work/ngtcp2.tar.xz"; then
        say "building ngtcp2 $ngtcp2_release for $ngtcp2_prefix: static libraries and headers …"
        # What it says is kept in memory: the disk may be what is full.
        said=$(cd "$work" && ngtcp2_make 2>&1) || { status=1 && tail -n 20 <<<"$said" >&2; }
    else
        status=1
        say "hint: DEP2P_NGTCP2_ARCHIVE=FILE names a copy of $ngtcp2_upstream" >&2
    fi
    rm -rf "$work"
    return $status
}

# In a folder with the archive. `set -e` does not work below a condition: hence the chains.
ngtcp2_make() {
    local target=$PWD/installed
    tar xf ngtcp2.tar.xz && cd "ngtcp2-$ngtcp2_release" && ngtcp2_change "${ngtcp2_changes[@]}" &&
        ./configure --quiet --enable-lib-only --with-gnutls --without-openssl --disable-shared \
            --prefix="$ngtcp2_prefix" --libdir="$ngtcp2_prefix/lib" CFLAGS='-O2 -fPIC' &&
        make -s -j "$(nproc)" && make -s install DESTDIR="$target" &&
        (cd "$target$ngtcp2_prefix/lib" && ngtcp2_rename) && chmod -R a+rX "$target" &&
        as_root mkdir -p "$ngtcp2_prefix" && as_root cp -R "$target$ngtcp2_prefix/." "$ngtcp2_prefix/"
}

# ngtcp2_change FILE EXPRESSION…
ngtcp2_change() {
    local lines
    while [ $# -gt 0 ]; do
        lines=$(sed -n "$2p" "$1" | wc -l)
        [ "$lines" = 1 ] || { say "error: ngtcp2's $1 has $lines lines, not one, for our change $2" && return 1; }
        sed -i "$2" "$1" || return 1
        shift 2
    done
}

# The libraries get names of their own, so that no linker takes a package's instead; pkg-config's names stay, since it
# looks here first. The one that needs the other comes before it.
ngtcp2_rename() {
    mv libngtcp2.a libdep2p_ngtcp2.a && mv libngtcp2_crypto_gnutls.a libdep2p_ngtcp2_crypto_gnutls.a &&
        rm -rf ./*.la ../share && ngtcp2_describe libngtcp2 -ldep2p_ngtcp2 &&
        ngtcp2_describe libngtcp2_crypto_gnutls '-ldep2p_ngtcp2_crypto_gnutls -ldep2p_ngtcp2'
}

# The mark says which changes went in. Cflags stay empty, since compilers look below /usr/local first.
ngtcp2_describe() { # ngtcp2_describe NAME LIBRARIES
    printf 'dep2p=%s\nName: %s\nDescription: built for dep2p by its Sources/ngtcp2.sh\nVersion: %s\nLibs: -L%s/lib %s\nCflags:\n' \
        "$(ngtcp2_mark)" "$1" "$ngtcp2_release" "$ngtcp2_prefix" "$2" >"pkgconfig/$1.pc"
}

# ngtcp2_fetch FILE: the copy that DEP2P_NGTCP2_ARCHIVE names, or the archive of the machine's own Debian, or upstream's.
ngtcp2_fetch() {
    local source said
    while IFS= read -r source; do
        case "$source" in
        *://*) said=$(/usr/lib/apt/apt-helper -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
            download-file "$source" "$1" 2>&1) || true ;;
        *) said=$(cp "$source" "$1" 2>&1) || true ;;
        esac
        if printf '%s  %s\n' "$ngtcp2_sha256" "$1" | sha256sum --check --status 2>/dev/null; then return 0; fi
        [ ! -s "$1" ] || said="its SHA-256 is not $ngtcp2_sha256"
        warn "$source: $(printf '%s\n' "$said" | grep -v unsandboxed | tail -n 1)"
        rm -f "$1"
    done < <(ngtcp2_sources)
    return 1
}

ngtcp2_sources() {
    if [ -n "${DEP2P_NGTCP2_ARCHIVE:-}" ]; then
        printf '%s\n' "$DEP2P_NGTCP2_ARCHIVE"
        return
    fi
    [ -n "$(debian_archives)" ] || update_lists >&2
    debian_archives | sed "s|/*\$|/$ngtcp2_pool|"
    printf '%s\n' "$ngtcp2_upstream"
}

# Those that apt has lists of; the one for security holds no other suite's sources.
debian_archives() {
    apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Component: main' 'Origin: Debian' 2>/dev/null |
        sed '/security/d' | sort -u
}
