#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Install what enid needs from Debian's own archive (Debian 12). Does nothing, quickly, when all is there.
#   install-deps.sh          everything: build, run, test, lint, benchmarks, kernel matrix
#   install-deps.sh --run    only what building and running the agent needs
#   install-deps.sh --list   print the packages and leave
set -eu

run_packages="
	gcc libc6-dev make clang llvm bpftool pkg-config
	libbpf-dev libelf-dev zlib1g-dev libjansson-dev libmnl-dev libnftables-dev libsystemd-dev libpcap-dev uthash-dev libmicrohttpd-dev
	nftables iproute2 ethtool"
test_packages="
	git libcmocka-dev clang-format clang-tidy cppcheck shellcheck lcov strace
	spin curl iputils-ping iperf3 nmap traceroute tcpdump netcat-openbsd hping3 jq python3 python3-scapy iptables gnuplot-nox
	qemu-system-x86 qemu-system-common busybox-static dnsmasq-base libclang-rt-dev afl++
	nfdump tshark prometheus systemd dpkg-dev lintian"

usage() {
	echo "usage: install-deps.sh [--run] [--list]" >&2
	exit 2
}

wanted="$run_packages $test_packages"
list=
for option in "$@"; do
	case $option in
	--run) wanted=$run_packages ;;
	--list) list=1 ;;
	*) usage ;;
	esac
done
if [ -n "$list" ]; then
	# shellcheck disable=SC2086 # one word a package
	printf '%s\n' $wanted
	exit 0
fi

command -v dpkg-query >/dev/null || {
	echo "install-deps: this is no Debian: install by hand what '$0 --list' names" >&2
	exit 1
}
# shellcheck disable=SC2086
present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' || true)
missing=
for package in $wanted; do
	grep -qx -- "$package" <<<"$present" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "install-deps: installing by apt:$missing"
if [ "$(id -u)" != 0 ]; then
	echo "install-deps: installing needs root: run it by sudo" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Lists that other sources spoil (an unreachable third-party one, say) are no reason to stop: the install decides.
apt-get -q update || echo "install-deps: apt-get update failed in part; going on with the lists there are" >&2
# shellcheck disable=SC2086
exec apt-get -q -y install --no-install-recommends $missing
