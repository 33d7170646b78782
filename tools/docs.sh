#!/bin/bash
# Makes the documentation of the WSTransport library, as pages in .build/docs.
#
#   tools/docs.sh
#
# Undocumented symbols and broken links are errors.
set -euo pipefail
cd "$(dirname "$0")/.."

swift="${SWIFT:-swift}"
toolchain=$(dirname "$(readlink -f "$(command -v "${swift}c")")")
work=.build/docs
rm -rf "$work"
mkdir -p "$work/symbols"

sources=()
while IFS= read -r file; do sources+=("$file"); done < <(find Sources/WSTransport -name '*.swift' | sort)
"${swift}c" -emit-module -o "$work/WSTransport.swiftmodule" -module-name WSTransport -package-name broker \
    -swift-version 6 -strict-memory-safety -enable-experimental-feature Lifetimes -enable-upcoming-feature ExistentialAny \
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility \
    -I Sources/CLinux -I Sources/CSIMD -I Sources/CZlib -I Sources/COpenSSL \
    -emit-symbol-graph -emit-symbol-graph-dir "$work/symbols" "${sources[@]}"
"$toolchain/docc" convert Sources/WSTransport/WSTransport.docc --additional-symbol-graph-dir "$work/symbols" \
    --fallback-display-name WSTransport --fallback-bundle-identifier broker.WSTransport \
    --output-path "$work/WSTransport.doccarchive" --warnings-as-errors --ide-console-output
printf 'the documentation is in %s\n' "$work/WSTransport.doccarchive"
