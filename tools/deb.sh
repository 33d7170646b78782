#!/bin/bash
# Packs the results of `make build` as a Debian package, in .build/deb.
#
# DEBFULLNAME and DEBEMAIL name the package's maintainer.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
place=$source/.build/deb
program=$source/.build/release/brokerd

[[ -x "$program" ]] || { echo 'deb: run `make build` first' >&2; exit 1; }
command -v dh_installsysusers >/dev/null || { echo 'deb: install the package debhelper' >&2; exit 1; }
version=$("$program" --version)
version=${version#brokerd }
maintainer="${DEBFULLNAME:-Broker maintainers} <${DEBEMAIL:-maintainers@broker.invalid}>"

rm -rf "$place"
mkdir -p "$place/tree"
cp -R "$source/deploy/debian" "$place/tree/debian"
cd "$place/tree"
sed -i "s|@MAINTAINER@|$maintainer|" debian/control
cp "$source/deploy/brokerd.socket" debian/broker.brokerd.socket
sed 's|/usr/local/bin/|/usr/bin/|' "$source/deploy/brokerd.service" >debian/broker.brokerd.service
cp "$source/deploy/broker.sysusers" debian/broker.sysusers
# The same bytes from the same sources.
: "${SOURCE_DATE_EPOCH:=$(git -C "$source" log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
cat >debian/changelog <<EOF
broker ($version-1) unstable; urgency=medium

  * See /usr/share/doc/broker/changelog.gz.

 -- $maintainer  $(date --utc --date="@$SOURCE_DATE_EPOCH" -R)
EOF
cp "$source/README.md" "$source/CHANGELOG.md" "$source/docs/settings.md" .
printf '%s\n' README.md settings.md >debian/broker.docs
SOURCE="$source" dpkg-buildpackage --build=binary --no-sign --no-check-builddeps >"$place/log" 2>&1 || {
    cat "$place/log" >&2
    exit 1
}
rm -r "$place/tree"
ls "$place"/*.deb
