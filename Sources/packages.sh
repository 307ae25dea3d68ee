# shellcheck shell=bash
# Sourced by the scripts of this repository: says, fails, and installs what is missing through apt.

# Some service managers start scripts without HOME; the toolchain and ssh want one.
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME

# Builds by these scripts leave out what a debugger reads; the names of functions stay. It takes part of
# each build, and 27 of the program's 64 MB.
# shellcheck disable=SC2034
without_debug_info=(-debug-info-format none)

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf 'hint: %s\n' "$line" >&2; done
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Whether as_root can work: as root, or with sudo that asks nothing or has a terminal to ask on.
can_be_root() {
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null || return 1
    sudo -n true 2>/dev/null || { : </dev/tty; } 2>/dev/null
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# missing_packages NAME…: those that are not installed, one a line.
missing_packages() {
    local name
    for name in "$@"; do installed "$name" || printf '%s\n' "$name"; done
}

# install_packages NAME…: installs those that are missing, and nothing when none is.
install_packages() {
    local missing
    needs_apt "$@"
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    can_be_root || fail_without_root "${missing[@]}"
    say "installing: ${missing[*]}"
    update_lists
    apt install --no-install-recommends "${missing[@]}" ||
        fail "apt-get could not install: ${missing[*]}" "its messages above say why"
}

fail_without_root() { # fail_without_root PACKAGE…
    fail "packages are missing, and installing them needs root, whom this user can't become here: $*" \
        "let root run this, and run the same line again then: $(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/quickstart.sh --packages" \
        "or have root install what is named above with apt-get"
}

# One list of all that is missing, those named and what every build needs, rather than one after the other.
fail_without_root_for_all() { # fail_without_root_for_all [PACKAGE…]
    local packages
    needs_apt "$@"
    mapfile -t packages < <(build_packages)
    mapfile -t packages < <(missing_packages "$@" "${packages[@]}" | sort -u)
    ngtcp2_suffices || packages+=("${ngtcp2_packages[@]}" "(the last two of version $ngtcp2_minimum or later)")
    fail_without_root "${packages[@]}"
}

needs_apt() {
    command -v dpkg-query >/dev/null ||
        fail "this system has no apt" "install by hand what these Debian packages hold: $*"
}

# Once in a run. One source that does not answer is not the end: what is needed may come from another.
lists_updated=no
update_lists() {
    [ "$lists_updated" = no ] || return 0
    apt update || warn "apt-get update failed, as its messages above say; trying with the lists that are there"
    lists_updated=yes
}

# Seconds to wait for another apt: a first boot's updates hold the locks for minutes.
apt_patience=900

# apt-get without questions; what it says is shown when it fails. Its own timeout is for dpkg's lock only.
apt() {
    local said started=$SECONDS told=no
    until said=$(as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -y \
        -o DPkg::Lock::Timeout=$apt_patience "$@" 2>&1); do
        if [[ $said != *"Could not get lock"* && $said != *"Unable to lock"* ]] ||
            [ $((SECONDS - started)) -ge $apt_patience ]; then
            printf '%s\n' "$said" | tail -n 20 >&2
            return 1
        fi
        [ "$told" = yes ] || say "waiting: another apt is at work (a system's first updates take some minutes) …"
        told=yes
        sleep 3
    done
}

# What every build needs beside the Swift toolchain, ngtcp2 and this architecture's own.
build_packages() {
    local packages=(ca-certificates git pkg-config binutils libc6-dev
        libgnutls28-dev nettle-dev libgmp-dev libssl-dev libsodium-dev libminiupnpc-dev libc-ares-dev libsqlite3-dev zlib1g-dev)
    # Many hashes at once: exists for this architecture only.
    [ "$(dpkg --print-architecture)" != amd64 ] || packages+=(libipsec-mb-dev)
    # The Swift toolchain links with the C++ library of whichever gcc the system has, and dep2p takes the static one.
    compgen -G '/usr/lib/gcc/*/*/libstdc++.a' >/dev/null || packages+=(g++)
    printf '%s\n' "${packages[@]}"
}

install_build_packages() {
    local packages
    needs_apt libngtcp2-dev "(1.11 or later)" libngtcp2-crypto-gnutls-dev libgnutls28-dev nettle-dev libgmp-dev libssl-dev libsodium-dev libminiupnpc-dev libc-ares-dev libsqlite3-dev zlib1g-dev
    mapfile -t packages < <(build_packages)
    if ! can_be_root && ! ngtcp2_suffices; then fail_without_root_for_all; fi
    install_packages "${packages[@]}"
    install_ngtcp2
}

# shellcheck source=Sources/ngtcp2.sh
. "$(dirname "${BASH_SOURCE[0]}")/ngtcp2.sh"

# What a toolchain that was unpacked on a bare system links with and needs to start.
toolchain_packages=(libncurses-dev libcurl4-openssl-dev libedit-dev libxml2-dev libsqlite3-dev libz3-dev zlib1g-dev
    tzdata ca-certificates git binutils)

# Finds a Swift toolchain of at least 6.2 and puts it on PATH.
find_swift() {
    local folder said version
    if ! command -v swift >/dev/null; then
        for folder in /opt/swift/usr/bin /usr/libexec/swift/bin /usr/local/swift/usr/bin "$HOME/.local/share/swiftly/bin"; do
            [ -x "$folder/swift" ] && PATH=$folder:$PATH && break
        done
    fi
    command -v swift >/dev/null ||
        fail "no Swift toolchain found" "install Swift 6.2 or later from https://www.swift.org/install/linux and put it on PATH"
    if ! said=$(swift --version 2>&1); then
        if [ -n "$(missing_packages "${toolchain_packages[@]}")" ] && ! can_be_root; then
            fail_without_root_for_all "${toolchain_packages[@]}"
        fi
        install_packages "${toolchain_packages[@]}"
        said=$(swift --version 2>&1) || fail "the Swift toolchain at $(command -v swift) does not start: $(tail -n 3 <<<"$said")" \
            "the packages that its install page names for this system may be missing: https://www.swift.org/install/linux"
    fi
    version=$(sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' <<<"$said" | head -n 1)
    [ -n "$version" ] || fail "swift --version says no version: $(head -n 3 <<<"$said")"
    at_least "$version" 6.2 ||
        fail "Swift $version is too old: 6.2 or later is needed" "see https://www.swift.org/install/linux"
}

# at_least VERSION MINIMUM
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }
