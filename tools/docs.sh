#!/bin/bash
# Makes the documentation of the libraries, as pages in .build/docs, and compares their public declarations with docs/api.
#
#   tools/docs.sh              compare
#   tools/docs.sh --update     rewrite docs/api
#
# Undocumented symbols and broken links are errors.
set -euo pipefail
cd "$(dirname "$0")/.."

swift="${SWIFT:-swift}"
toolchain=$(dirname "$(readlink -f "$(command -v "${swift}c")")")
work=.build/docs
rm -rf "$work"
mkdir -p "$work/symbols/WSTransport"
headers=(-I Sources/CLinux -I Sources/CSIMD -I Sources/CZlib -I Sources/COpenSSL)
options=(-package-name broker -swift-version 6 -strict-memory-safety -enable-experimental-feature Lifetimes
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
    -enable-upcoming-feature MemberImportVisibility)

# Symbols LIBRARY OPTION…: its public declarations, and its module for its users.
symbols() {
    local library=$1 sources=()
    shift
    mkdir -p "$work/symbols/$library"
    while IFS= read -r file; do sources+=("$file"); done < <(find "Sources/$library" -name '*.swift' | sort)
    "${swift}c" -emit-module -o "$work/$library.swiftmodule" -module-name "$library" "${options[@]}" "${headers[@]}" -I "$work" \
        -emit-symbol-graph -emit-symbol-graph-dir "$work/symbols/$library" "$@" "${sources[@]}"
    "$toolchain/docc" convert "Sources/$library/$library.docc" --additional-symbol-graph-dir "$work/symbols/$library" \
        --fallback-display-name "$library" --fallback-bundle-identifier "broker.$library" \
        --output-path "$work/$library.doccarchive" --warnings-as-errors --ide-console-output
}

symbols WSTransport
symbols WSTransportCoding -emit-extension-block-symbols
symbols WSTransportTesting -emit-extension-block-symbols

# This one needs the modules of other packages, which `make test-swift` needs, too.
"$swift" build -j "${JOBS:-2}" --target WSTransportServices
built=$("$swift" build --show-bin-path)
symbols WSTransportServices -I "$built/Modules" $(find .build/checkouts -maxdepth 4 -type d -name include -printf '-I %p ')

/usr/bin/python3 tools/api.py "$work/symbols" "$@"
printf 'the documentation is in %s\n' "$work"
