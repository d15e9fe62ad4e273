#!/usr/bin/env bash
# Shows that the facade adds nothing to the real build: compares the machine code of Mutex::lock +
# unlock, as the workspace compiles it, with that of the same source in which `core::sync::atomic`
# and `core::cell::UnsafeCell` stand directly in the place of the facade. Prints the code, and exits
# with 1 if the two differ.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
# Kept in the repository's target folder, so that the dependencies are built once for both scripts.
target=$repository/target/code
trap 'rm -rf "$work"' EXIT

for variant in with without; do
    mkdir "$work/$variant"
    tar -C "$repository" --exclude=./target --exclude='./target-*' --exclude=./.git -cf - . | tar -C "$work/$variant" -xf -
    cat >>"$work/$variant/sync-core/src/lib.rs" <<'PROBE'
/// What is looked at: one uncontended pair.
#[unsafe(no_mangle)]
pub fn facade_probe(mutex: &Mutex<u64>) {
    *mutex.lock() += 1;
}
PROBE
done

cd "$work/without/sync-core/src"
# Every file that has or uses the cell of a lock's data.
sources=(lock/{mutex,raw_mutex,fair_mutex,asynchronous,rwlock,rwlock_extras,reentrant_mutex,guard_macros}.rs)
before=$(cat "${sources[@]}" | sha256sum)
sed -i -E \
    -e 's/crate::primitive::atomic/core::sync::atomic/' \
    -e 's/use crate::primitive::\{cell::UnsafeCell, /use core::cell::UnsafeCell;\nuse crate::primitive::{/' \
    -e 's/([a-z.]+\.data)\.with(_mut)?\(\|data\| (.*)\)(;?)$/{ let data = \1.get(); \3 }\4/' \
    "${sources[@]}"
if [ "$before" = "$(cat "${sources[@]}" | sha256sum)" ] || grep -nE 'primitive::(atomic|cell)|\.with(_mut)?\(' "${sources[@]}"; then
    echo "error: this script no longer fits the sources: the facade is still in them" >&2
    exit 2
fi

for variant in with without; do
    cd "$work/$variant"
    CARGO_TARGET_DIR="$target" cargo rustc --quiet --release -p sync-core --lib -- \
        -C codegen-units=1 -C debuginfo=0 --cap-lints allow --emit "asm=$work/$variant.s"
    # The function alone; without the hashes in the names of what it calls, and without the numbers
    # of labels.
    sed -n '/^facade_probe:/,/\.cfi_endproc/p' "$work/$variant.s" |
        sed -E 's/17h[0-9a-f]{16}E/E/; s/\.L[A-Za-z_]*[0-9_]+/.L/g; /^\s*\.cfi/d; /^\.L:/d' >"$work/$variant.txt"
    test -s "$work/$variant.txt"
done

cat "$work/with.txt"
if diff "$work/with.txt" "$work/without.txt"; then
    echo "the same, instruction by instruction, with and without the facade ($(rustc --version), $(uname -m))"
else
    echo "the facade changes the code" >&2
    exit 1
fi
