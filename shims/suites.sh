#!/usr/bin/env bash
# Runs the tests of published crates on sync-core, by the package in shims/parking_lot.
#
#   shims/suites.sh [DIRECTORY] [CRATE=VERSION...]
#
# The crates' packages are fetched by cargo and unpacked in DIRECTORY (a temporary one by default),
# outside of the repository. Needs network access, or a cargo that has the packages.
set -euo pipefail

shim=$(cd "$(dirname "$0")/parking_lot" && pwd)
work=${1:-$(mktemp -d)}
shift || true
crates=("$@")
if [ ${#crates[@]} -eq 0 ]; then
    crates=(scheduled-thread-pool=0.2.7 prometheus=0.14.0 r2d2=0.8.10)
fi
mkdir -p "$work"
export CARGO_TARGET_DIR=$work/target
failed=0

for crate in "${crates[@]}"; do
    name=${crate%=*} version=${crate#*=}
    # A package that depends on the crate, so that cargo fetches it.
    mkdir -p "$work/fetch-$name/src"
    : > "$work/fetch-$name/src/lib.rs"
    cat > "$work/fetch-$name/Cargo.toml" <<EOF
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[dependencies]
"$name" = "=$version"
[workspace]
EOF
    (cd "$work/fetch-$name" && cargo vendor --quiet --versioned-dirs vendor > /dev/null)
    rm -rf "$work/$name"
    cp -r "$work/fetch-$name/vendor/$name-$version" "$work/$name"
    rm -f "$work/$name/Cargo.lock"
    cat >> "$work/$name/Cargo.toml" <<EOF

[workspace]
[patch.crates-io]
parking_lot = { path = "$shim" }
EOF
    echo "== $name $version"
    # A crate that asks for another version of parking_lot would be tested without the shim.
    if ! (cd "$work/$name" && cargo tree --quiet --prefix none | grep -F "($shim)" | sort -u); then
        echo "$name $version does not take the shim" >&2
        failed=1
        continue
    fi
    (cd "$work/$name" && cargo test --quiet) || failed=1
done
exit $failed
