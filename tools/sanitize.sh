#!/bin/bash
# Runs the Swift tests with a sanitizer, also those of the libraries from another package: any report fails them.
#
#   tools/sanitize.sh thread|address [FILTER]
#
# A filter that begins with LibraryTests selects tests of the other package, any other one those of this package. Builds
# are kept in .build/thread and .build/address, those of the other package in .build/thread-examples and
# .build/address-examples. The thread sanitizer suppresses nothing, the address sanitizer one function of Foundation:
# tools/sanitizer/address.supp.
set -euo pipefail
cd "$(dirname "$0")/.."

kind="${1:-}"
swift="${SWIFT:-swift}"
work=".build/$kind"
filter=()
[[ -n "${2:-}" ]] && filter=(--filter "$2")

case "$kind" in
    thread)
        # After a report the process exits with this status.
        export TSAN_OPTIONS="exitcode=66 halt_on_error=0 ${TSAN_OPTIONS:-}"
        ;;
    address)
        # Swift's runtime never frees the metadata of generic types.
        export ASAN_OPTIONS="detect_leaks=0 detect_stack_use_after_return=1"
        ASAN_OPTIONS+=" suppressions=$PWD/tools/sanitizer/address.supp"
        ;;
    *)
        printf 'usage: tools/sanitize.sh thread|address [FILTER]\n' >&2
        exit 64
        ;;
esac

mkdir -p "$work"
preloaded=""
if [[ "$kind" == thread ]]; then
    toolchain=$(dirname "$(readlink -f "$(command -v "${swift}c")")")
    compiler=$(command -v "$toolchain/clang" || command -v clang)
    preloaded="$PWD/$work/mutex_annotations.so"
    "$compiler" -O2 -fPIC -shared -o "$preloaded" tools/sanitizer/mutex_annotations.c -ldl
    "${swift}c" -parse-as-library -g -sanitize=thread -o "$work/proof" tools/sanitizer/MutexProof.swift
    for _ in 1 2 3 4 5; do
        LD_PRELOAD="$preloaded" "$work/proof" mutex ||
            { printf 'sanitize: a Mutex is reported as a race; does its implementation have other names now?\n' >&2; exit 1; }
    done
    if LD_PRELOAD="$preloaded" "$work/proof" race 2>/dev/null; then
        printf 'sanitize: a race is not reported\n' >&2
        exit 1
    fi
fi

# Builds the tests of a package and runs them: the package, where its build is kept, the name of its tests.
run_tests() {
    local options=(--package-path "$1" --scratch-path "$2" --sanitize="$kind")
    "$swift" build --build-tests -j "${JOBS:-2}" "${options[@]}"
    local tests log="$2/log"
    tests=$("$swift" build --show-bin-path "${options[@]}")/$3.xctest
    # One test after another: they take several times as long here, and their time limits assume that they run alone.
    LD_PRELOAD="$preloaded" "$tests" --testing-library swift-testing --no-parallel ${filter[@]+"${filter[@]}"} >"$log" 2>&1 ||
        { grep -E -A40 'WARNING: ThreadSanitizer|ERROR: AddressSanitizer|✘' "$log" | head -200 >&2; exit 1; }
    if grep -qE 'WARNING: ThreadSanitizer|ERROR: AddressSanitizer' "$log"; then
        grep -E -A40 'WARNING: ThreadSanitizer|ERROR: AddressSanitizer' "$log" | head -200 >&2
        exit 1
    fi
    tail -n 1 "$log"
}

[[ "${2:-}" == LibraryTests* ]] || run_tests . "$work" brokerPackageTests
# The libraries as their users see them.
[[ -n "${2:-}" && "${2:-}" != LibraryTests* ]] || run_tests Examples "$work-examples" examplesPackageTests
