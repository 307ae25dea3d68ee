# shellcheck shell=bash
# Sourced by the scripts of this repository: says, fails, and installs what is missing through apt.

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf 'hint: %s\n' "$line" >&2; done
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this step needs root: $*" "run it as root, or install sudo"
    fi
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages NAME…: installs those that are missing, and nothing when none is.
install_packages() {
    local missing=() name
    command -v dpkg-query >/dev/null ||
        fail "this system has no apt" "install by hand what these Debian packages hold: $*"
    for name in "$@"; do
        installed "$name" || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing: ${missing[*]}"
    apt update || fail "apt-get update failed" "check the network and /etc/apt/sources.list, then run this again"
    apt install --no-install-recommends "${missing[@]}" ||
        fail "apt-get could not install: ${missing[*]}" "its messages above say why"
}

# apt-get without questions; what it says is shown when it fails.
apt() {
    local said
    said=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" 2>&1) || {
        printf '%s\n' "$said" | tail -n 20 >&2
        return 1
    }
}

# What every build needs beside the Swift toolchain.
install_build_packages() {
    local packages=(ca-certificates git pkg-config binutils libc6-dev
        libngtcp2-dev libngtcp2-crypto-gnutls-dev libgnutls28-dev libssl-dev libsodium-dev libminiupnpc-dev)
    # Many hashes at once: exists for this architecture only.
    [ "$(dpkg --print-architecture)" != amd64 ] || packages+=(libipsec-mb-dev)
    # The Swift toolchain links with the C++ library of whichever gcc the system has.
    compgen -G '/usr/lib/gcc/*/*/libstdc++.so' >/dev/null || packages+=(g++)
    install_packages "${packages[@]}"
    check_ngtcp2
}

# CVE-2026-40170 (a peer overflows the stack of a program that writes qlog) is mended in ngtcp2 1.22.1 and in Debian 12
# from 0.12.1+dfsg-1+deb12u1 on. dep2p writes no qlog; the package is asked for all the same.
check_ngtcp2() {
    local version
    version=$(dpkg-query -W -f='${Version}' libngtcp2-dev)
    if ngtcp2_is_mended "$version"; then return 0; fi
    case "$version" in
    0.12.1*+deb12u* | 0.12.1+dfsg-1)
        { apt update && apt install --only-upgrade libngtcp2-dev libngtcp2-crypto-gnutls-dev; } || true
        version=$(dpkg-query -W -f='${Version}' libngtcp2-dev)
        ngtcp2_is_mended "$version" ||
            fail "libngtcp2 $version is older than 0.12.1+dfsg-1+deb12u1 (CVE-2026-40170)" \
                "enable Debian's security updates, then: apt-get update && apt-get upgrade"
        ;;
    *) warn "libngtcp2 $version does not name the fix of CVE-2026-40170; dep2p does not use the code concerned" ;;
    esac
}

ngtcp2_is_mended() {
    case "$1" in
    0.12.1*) dpkg --compare-versions "$1" ge 0.12.1+dfsg-1+deb12u1 && return 0 ;;
    *) dpkg --compare-versions "$1" ge 1.22.1 && return 0 ;;
    esac
    zgrep -qs 'CVE-2026-40170' /usr/share/doc/libngtcp2-dev/changelog.Debian.gz
}

# Finds a Swift toolchain of at least 6.2 and puts it on PATH.
find_swift() {
    local folder version
    if ! command -v swift >/dev/null; then
        for folder in /opt/swift/usr/bin /usr/libexec/swift/bin /usr/local/swift/usr/bin "$HOME/.local/share/swiftly/bin"; do
            [ -x "$folder/swift" ] && PATH=$folder:$PATH && break
        done
    fi
    command -v swift >/dev/null ||
        fail "no Swift toolchain found" "install Swift 6.2 or later from https://www.swift.org/install/linux and put it on PATH"
    # A toolchain unpacked on a bare system lacks the libraries that it links with.
    swift --version >/dev/null 2>&1 || install_packages libncurses-dev libcurl4-openssl-dev libedit-dev libxml2-dev \
        libsqlite3-dev libz3-dev zlib1g-dev tzdata ca-certificates git binutils
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1)
    [ -n "$version" ] || fail "swift --version does not run" "the toolchain's own packages may be missing: see its install page"
    dpkg --compare-versions "$version" ge 6.2 ||
        fail "Swift $version is too old: 6.2 or later is needed" "see https://www.swift.org/install/linux"
}
