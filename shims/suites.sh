#!/usr/bin/env bash
# Runs the tests of published crates on sync-core and sync-queue, as a stranger would: by
# [patch.crates-io] and the packages parking_lot and crossbeam-channel of this folder.
#
#   shims/suites.sh [DIRECTORY] [CRATE=VERSION...]
#
# The crates' packages are fetched by cargo and unpacked in DIRECTORY (a temporary one by default),
# outside of the repository. Needs network access, or a cargo that has the packages: without them it
# says so and ends well.
set -euo pipefail

shims=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
shift || true
crates=("$@")
# bus=2.4.1 is a user of crossbeam-channel; its tests spin, and take minutes on a busy machine.
if [ ${#crates[@]} -eq 0 ]; then
    crates=(scheduled-thread-pool=0.2.7 prometheus=0.14.0 r2d2=0.8.10)
fi
mkdir -p "$work"
work=$(cd "$work" && pwd)
export CARGO_TARGET_DIR=$work/target CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
failed=0

# The lines that a stranger writes.
patch() {
    cat <<LINES

[patch.crates-io]
parking_lot = { path = "$shims/parking_lot" }
crossbeam-channel = { path = "$shims/crossbeam-channel" }
LINES
}

# Fails if the package in the current folder does not take a shim: it would be tested without one.
takes_a_shim() {
    cargo tree --quiet --prefix none --edges normal,build | grep -F "($shims/" | sort -u
}

package() { # folder, dependency
    mkdir -p "$1/src"
    cat > "$1/Cargo.toml" <<LINES
[package]
name = "stranger"
version = "0.0.0"
edition = "2021"
[workspace]
[dependencies]
$2
LINES
}

for crate in "${crates[@]}"; do
    name=${crate%=*} version=${crate#*=}
    echo "== $name $version"
    # A package that depends on the crate, so that cargo fetches it.
    package "$work/fetch-$name" "\"$name\" = \"=$version\""
    : > "$work/fetch-$name/src/lib.rs"
    if ! (cd "$work/fetch-$name" && cargo fetch --quiet); then
        echo "SKIPPED: $name $version cannot be had"
        continue
    fi
    source=$(cd "$work/fetch-$name" && cargo metadata --format-version 1 --offline |
        tr ',' '\n' | grep -o "\"manifest_path\":\"[^\"]*/$name-$version/Cargo.toml\"" | cut -d'"' -f4)
    rm -rf "${work:?}/$name"
    cp -r "$(dirname "$source")" "$work/$name"
    chmod -R u+w "$work/$name"
    rm -f "$work/$name/Cargo.lock"
    { printf '\n[workspace]\n'; patch; } >> "$work/$name/Cargo.toml"
    (
        cd "$work/$name"
        takes_a_shim || { echo "$name $version does not take a shim" >&2; exit 1; }
        # Some of these tests measure time, with tens of milliseconds to spare: a failure counts if
        # it comes three times. r2d2's `events` is left out: two events of two threads come in
        # either order, and with parking_lot itself it failed 30 times in 90.
        run() { cargo test --quiet -- --skip test::events; }
        run || { echo "once more"; run; } || { echo "for the last time"; run; }
    ) || failed=1
done

# tokio, whose runtime is on parking_lot's locks with its feature of that name.
echo "== a runtime of tokio"
package "$work/tokio" \
    'tokio = { version = "1.50", features = ["parking_lot", "rt-multi-thread", "sync", "time"] }'
cp "$shims/on_tokio.rs" "$work/tokio/src/main.rs"
patch >> "$work/tokio/Cargo.toml"
if (cd "$work/tokio" && cargo fetch --quiet); then
    (cd "$work/tokio" && takes_a_shim && cargo run --quiet) || failed=1
else
    echo "SKIPPED: tokio cannot be had"
fi
exit $failed
