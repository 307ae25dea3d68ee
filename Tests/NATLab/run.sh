#!/bin/sh
# Runs the NAT lab (see --help), installing what it needs. Needs root: it makes network namespaces.
set -eu
folder=$(cd -- "$(dirname -- "$0")" && pwd)
if [ "$(id -u)" -ne 0 ]; then
    echo "Tests/NATLab/run.sh: needs root (network namespaces, nftables, TUN devices)" >&2
    exit 77
fi
missing=
command -v ip >/dev/null || missing="$missing iproute2"
command -v nft >/dev/null || missing="$missing nftables"
command -v sysctl >/dev/null || missing="$missing procps"
command -v python3 >/dev/null || missing="$missing python3"
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
case " $* " in
*" --gateway "*) command -v miniupnpd >/dev/null || missing="$missing miniupnpd-nftables" ;;
esac
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
if [ ! -c /dev/net/tun ]; then
    mkdir -p /dev/net
    mknod /dev/net/tun c 10 200
fi
exec python3 -B "$folder/lab.py" "$@"
