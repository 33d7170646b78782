#!/bin/bash
# Builds each Tests/Fuzz/Fuzz*.swift with libFuzzer and runs it.
#
#   tools/fuzz.sh [SECONDS] [TARGET...]     TARGET as in FuzzFrames; none means all
#
# A target is compiled together with the folders its first line names, or WSTransport/Protocol if it names none:
#   // fuzz: Sources/Broker/Topics
# Its second line names modules that it imports, which are built first:
#   // modules: WSTransport Cryptography
# It begins with the inputs of Tests/Fuzz/corpus and of Tests/Fuzz/regressions, which the Swift tests replay. An input that
# crashes is left in .build/fuzz/TARGET/crashes; put it into Tests/Fuzz/regressions/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."

swiftc="${SWIFT:-swift}c"
seconds="${1:-30}"
shift || true
[[ "$seconds" =~ ^[0-9]+$ ]] || { printf 'fuzz: expected a number of seconds, found "%s"\n' "$seconds" >&2; exit 64; }

targets=()
if (($#)); then
    for name in "$@"; do targets+=("Tests/Fuzz/$name.swift"); done
else
    shopt -s nullglob
    targets=(Tests/Fuzz/Fuzz*.swift)
fi
if ((${#targets[@]} == 0)); then
    printf 'fuzz: there is no Tests/Fuzz/Fuzz*.swift\n' >&2
    exit 1
fi

options=(
    -O -swift-version 6 -enable-experimental-feature Lifetimes -package-name broker
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility
    -sanitize=fuzzer,address -parse-as-library -I Sources/CZlib -I Sources/CSIMD -I Sources/CLinux -I Sources/COpenSSL -I .build/fuzz
)

# Builds Sources/NAME as a module of its own, with the fuzzer's instruments.
build_module() {
    local files=()
    while IFS= read -r file; do files+=("$file"); done < <(find "Sources/$1" -name '*.swift' | sort)
    if ! "$swiftc" "${options[@]}" -wmo -c -emit-module -emit-module-path ".build/fuzz/$1.swiftmodule" -module-name "$1" \
        -o ".build/fuzz/$1.o" "${files[@]}" >".build/fuzz/$1.log" 2>&1; then
        cat ".build/fuzz/$1.log" >&2
        exit 1
    fi
}

for target in "${targets[@]}"; do
    name=$(basename "$target" .swift)
    work=".build/fuzz/$name"
    mkdir -p "$work/corpus" "$work/crashes"
    folders=$(sed -nE '1s|^// fuzz: ||p' "$target")
    # A module whose sources name the module needs its own name.
    module="$name"
    [[ "$folders" == Sources/WSTransport ]] && module=WSTransport
    objects=()
    for needed in $(sed -nE '2s|^// modules: ||p' "$target"); do
        build_module "$needed"
        objects+=(".build/fuzz/$needed.o")
    done
    sources=()
    for folder in ${folders:-Sources/WSTransport/Protocol}; do
        while IFS= read -r file; do sources+=("$file"); done < <(find "$folder" -name '*.swift' | sort)
    done
    # SwiftPM replays the same target as a function, so the entry that libFuzzer wants is made here.
    cat >"$work/Entry.swift" <<SWIFT
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    ${name/#F/f}(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
SWIFT
    mkdir -p "$work/seeds"
    number=0
    while IFS= read -r digits; do
        number=$((number + 1))
        printf '%b' "$(sed 's/../\\x&/g' <<<"$digits")" >"$work/seeds/$number"
    done <"Tests/Fuzz/corpus/$name.hex"
    printf '== %s, %s s\n' "$name" "$seconds"
    # The linker prints hundreds of warnings about the sanitizer's symbols.
    if ! "$swiftc" "${options[@]}" -lz -lssl -lcrypto -module-name "$module" -o "$work/run" \
        "${sources[@]}" "$target" "$work/Entry.swift" "${objects[@]}" \
        >"$work/log" 2>&1; then
        cat "$work/log" >&2
        exit 1
    fi
    seeds=("$work/seeds")
    [[ -d "Tests/Fuzz/regressions/$name" ]] && seeds+=("Tests/Fuzz/regressions/$name")
    if ! "$work/run" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$work/crashes/" "$work/corpus" "${seeds[@]}" >"$work/log" 2>&1; then
        tail -n 60 "$work/log" >&2
        printf 'fuzz: %s failed; what it was given is in %s\n' "$name" "$work/crashes" >&2
        exit 1
    fi
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' "$work/log"
done
