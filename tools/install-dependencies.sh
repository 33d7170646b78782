#!/bin/bash
# Installs the missing Debian packages.
#
#   tools/install-dependencies.sh build         what `swift build` needs
#   tools/install-dependencies.sh build test    and what the tests need
#   tools/install-dependencies.sh bench         the servers that `make bench` compares with
#
# Needs root or sudo only if a package is missing.
set -euo pipefail

# Headers and tools to compile and link with, and the libraries the Swift toolchain itself loads.
build_packages=(
    binutils ca-certificates gcc g++ git libc6-dev libcurl4 libedit2 libncurses6 libsqlite3-0 libxml2 make tzdata
    pkg-config liblmdb-dev libssl-dev libyaml-dev zlib1g-dev
)
# The tests of the real processes, browsers (with a font, or their screenshots are blank), the proxies of docs/proxies.md,
# the counter of instructions, the engine of a cluster, and the tools that make and check packages.
test_packages=(
    python3 python3-pytest python3-websockets python3-aiohttp python3-websocket nodejs node-ws chromium firefox-esr
    fonts-dejavu-core curl openssl nginx haproxy caddy apache2 valgrind python3-yaml python3-jwt python3-cryptography
    debhelper lintian node-typescript redis-server
)
bench_packages=(nats-server mosquitto python3-venv libuv1)

fail() {
    printf 'install-dependencies: %s\n' "$1" >&2
    exit 1
}

is_installed() {
    # A tool that was installed in another way suffices.
    case "$1" in
        binutils) command -v ld >/dev/null && return ;;
        gcc | g++ | git | make | curl | openssl) command -v "$1" >/dev/null && return ;;
    esac
    [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null || true)" == installed ]]
}

wanted=()
for group in "$@"; do
    case "$group" in
        build) wanted+=("${build_packages[@]}") ;;
        test) wanted+=("${test_packages[@]}") ;;
        bench) wanted+=("${bench_packages[@]}") ;;
        *) fail "unknown group '$group': expected build, test or bench" ;;
    esac
done

command -v "${SWIFT:-swift}" >/dev/null ||
    fail "no Swift toolchain found: install Swift 6.3 (https://www.swift.org/install/linux/) and put its bin folder on PATH"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    # Not Debian: the libraries may still be available. Continue if they are; otherwise report what is needed.
    if command -v pkg-config >/dev/null && pkg-config --exists yaml-0.1 openssl zlib && [[ -e /usr/include/lmdb.h ]]; then
        exit 0
    fi
    fail "there is no apt-get here. Install by hand, under the names your system has for them: ${wanted[*]}"
fi

missing=()
for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "missing: ${missing[*]}. Run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
fi

printf 'Installing missing packages: %s\n' "${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >>"$log" 2>&1
}
# Packages must not start servers on this machine's ports, unless a policy is set already.
policy=/usr/sbin/policy-rc.d
if [[ ! -e "$policy" ]]; then
    trap '"${as_root[@]}" rm -f "$policy"; rm -f "$log"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
fi
# Continue if package lists cannot be fetched: the packages may be in the cache or already listed.
apt update || printf 'install-dependencies: apt-get update failed, going on with the lists at hand\n' >&2
if ! apt install --yes --no-install-recommends "${missing[@]}"; then
    cat "$log" >&2
    fail "apt-get could not install: ${missing[*]}"
fi
