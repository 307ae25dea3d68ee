# shellcheck shell=bash
# Sourced by packages.sh: installs ngtcp2, the QUIC library.
#
# Why 1.11 and not what Debian 12 and Ubuntu 24.04 have of their own (0.12): before 1.4 a peer ends the process with one
# packet of two NEW_CONNECTION_ID frames, and the thirty releases between mend more that a peer can reach
# (Sources/CQUICShim/README.md). CVE-2026-40170, mended in 1.22.1 and in Debian's 1.11.0-1+deb13u1, is in the writer of
# qlog files, which dep2p never switches on.
ngtcp2_minimum=1.11.0

# The release that is built where no package is new enough: upstream's own archive, signed there and equal to the one in
# Debian's source package.
ngtcp2_release=1.11.0
ngtcp2_sha256=382c15bf66b630f26021631b25b7eb1feac42c67c1d6826189d61091dfaa4d09
ngtcp2_url=https://github.com/ngtcp2/ngtcp2/releases/download/v$ngtcp2_release/ngtcp2-$ngtcp2_release.tar.xz
ngtcp2_prefix=/usr/local

ngtcp2_packages=(libngtcp2-dev libngtcp2-crypto-gnutls-dev)

ngtcp2_suffices() {
    pkg-config --exists "libngtcp2 >= $ngtcp2_minimum" "libngtcp2_crypto_gnutls >= $ngtcp2_minimum" 2>/dev/null
}

# Debian 13 and later have it; Debian 12 has it in its backports; elsewhere it is built.
install_ngtcp2() {
    local system
    ! ngtcp2_suffices || return 0
    # shellcheck disable=SC1091
    system=$(. /etc/os-release && printf '%s %s' "${ID:-}" "${VERSION_CODENAME:-}")
    can_be_root || fail_without_root "${ngtcp2_packages[@]}" "(of version $ngtcp2_minimum or later)"
    update_lists
    if at_least "$(ngtcp2_candidate)" "$ngtcp2_minimum"; then
        say "installing: ${ngtcp2_packages[*]}"
        apt install --no-install-recommends "${ngtcp2_packages[@]}"
    elif [ "$system" = "debian bookworm" ]; then
        ngtcp2_from_backports bookworm || ngtcp2_from_source
    else
        ngtcp2_from_source
    fi
    ngtcp2_suffices || fail "ngtcp2 $(pkg-config --modversion libngtcp2 2>/dev/null || echo '(none)') is too old: $ngtcp2_minimum or later is needed" \
        "its messages above say why it could not be installed" \
        "install it by hand so that this says 1.11 or later: pkg-config --modversion libngtcp2 libngtcp2_crypto_gnutls"
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

# Builds the pinned release, static, below a prefix where nothing else of the system uses it.
ngtcp2_from_source() {
    local work log
    install_packages gcc make pkg-config xz-utils libc6-dev libgnutls28-dev
    say "building ngtcp2 $ngtcp2_release for $ngtcp2_prefix: static libraries and headers, used by builds of dep2p alone …"
    work=$(mktemp -d) || fail "no temporary folder" "TMPDIR names one with room"
    log=$work/log
    ngtcp2_fetch "$work/ngtcp2.tar.xz" || { rm -rf "$work" && exit 1; }
    (
        set -e
        cd "$work"
        tar xf ngtcp2.tar.xz
        cd "ngtcp2-$ngtcp2_release"
        ./configure --quiet --enable-lib-only --with-gnutls --without-openssl --disable-shared \
            --prefix="$ngtcp2_prefix" CFLAGS='-O2 -fPIC'
        make -s -j "$(nproc)"
        as_root make -s install
    ) >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        rm -rf "$work"
        fail "ngtcp2 $ngtcp2_release could not be built" "its messages above say why"
    }
    as_root rm -rf "$work"
}

# ngtcp2_fetch FILE: upstream's archive, or the copy that DEP2P_NGTCP2_ARCHIVE names; either has to be the pinned one.
ngtcp2_fetch() {
    local said
    if [ -n "${DEP2P_NGTCP2_ARCHIVE:-}" ]; then
        cp "$DEP2P_NGTCP2_ARCHIVE" "$1" || return 1
    else
        said=$(/usr/lib/apt/apt-helper download-file "$ngtcp2_url" "$1" "SHA256:$ngtcp2_sha256" 2>&1) || {
            printf '%s\n' "$said" | tail -n 5 >&2
            say "error: $ngtcp2_url could not be fetched" >&2
            say "hint: fetch it elsewhere and say: DEP2P_NGTCP2_ARCHIVE=FILE Sources/quickstart.sh" >&2
            return 1
        }
    fi
    printf '%s  %s\n' "$ngtcp2_sha256" "$1" | sha256sum --check --status && return 0
    say "error: the archive of ngtcp2 $ngtcp2_release is not the one whose SHA-256 is $ngtcp2_sha256" >&2
    return 1
}
