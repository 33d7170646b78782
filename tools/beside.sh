#!/bin/bash
# Runs commands side by side, and fails if one of them fails.
#
#   tools/beside.sh NAME COMMAND… -- COMMAND… [-- COMMAND…]…
#
# Shows the output of the first as it comes, then that of each other one; they are kept in .build/NAME-1.log and so on.
# After a failure, the lines that tell of it are repeated at the end.
set -uo pipefail
cd "$(dirname "$0")/.."

mkdir -p .build
prefix=".build/$1"
shift
rm -f "$prefix"-[0-9].log
first=()
others=()
number=1
# Starts `command`, unless it is the first, which the last lines start.
begin() {
    ((${#command[@]} > 0)) || { printf 'usage: tools/beside.sh NAME COMMAND… -- COMMAND…\n' >&2; exit 64; }
    if ((number == 1)); then
        first=("${command[@]}")
    else
        "${command[@]}" >"$prefix-$number.log" 2>&1 &
        others+=("$!")
    fi
    number=$((number + 1))
    command=()
}
command=()
for word in "$@"; do
    if [[ "$word" == -- ]]; then begin; else command+=("$word"); fi
done
begin

"${first[@]}" 2>&1 | tee "$prefix-1.log"
status=$?
for other in ${others[@]+"${others[@]}"}; do wait "$other" || status=$?; done
for ((other = 2; other < number; other++)); do cat "$prefix-$other.log"; done
if ((status != 0)); then
    # Lines of the Swift tests, of pytest, of compilers and of make.
    sed 's/\x1b\[[0-9;]*m//g' "$prefix"-[0-9].log |
        grep -aE -A 8 '^(✘|FAILED|ERROR|E  )|crashed( at|:)|error:|\*\*\* ' | cut -c 1-300 | tail -n 60
fi
exit "$status"
