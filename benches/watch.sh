#!/usr/bin/env bash
# Shows that the features `deadlock` and `stats` cost nothing while they are off: compares the
# machine code of the locks, which tell a watch what they do, with that of the raw locks below them,
# which have none. Exits with 1 if any two differ.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
# Kept in the repository's target folder, so that the dependencies are built once for both scripts.
target=$repository/target/code
trap 'rm -rf "$work"' EXIT
tar -C "$repository" --exclude=./target --exclude='./target-*' --exclude=./.git -cf - . | tar -C "$work" -xf -
cat >>"$work/sync-core/src/lib.rs" <<'PROBES'
mod probes {
    use crate::*;
    use std::cell::UnsafeCell;

    /// What each lock is without its watch.
    #[allow(missing_debug_implementations)]
    #[repr(C)]
    pub struct Bare<R, T>(R, UnsafeCell<T>);

    macro_rules! pair {
        ($lock:ident, $raw:ident, $Lock:ty, $Raw:ty, $take:ident, $release:path) => {
            /// Watched.
            #[unsafe(no_mangle)]
            pub fn $lock(lock: &$Lock) {
                let guard = lock.$take();
                std::hint::black_box(&*guard);
            }

            /// Not watched.
            #[unsafe(no_mangle)]
            pub fn $raw(lock: &Bare<$Raw, u64>) {
                lock.0.$take();
                // SAFETY: as in the lock.
                std::hint::black_box(unsafe { &*lock.1.get() });
                // SAFETY: taken above. Some of the releases are safe functions.
                let _ = unsafe { $release(&lock.0) };
            }
        };
    }

    pair!(mutex_watched, mutex_bare, Mutex<u64>, RawMutex, lock, RawLock::release);
    pair!(fair_watched, fair_bare, FairMutex<u64>, RawFairMutex, lock, RawLock::release);
    pair!(read_watched, read_bare, RwLock<u64>, RawRwLock, read, RawRwLock::unlock_reader);
    pair!(write_watched, write_bare, RwLock<u64>, RawRwLock, write, RawRwLock::unlock_write);
    pair!(upgradable_watched, upgradable_bare, RwLock<u64>, RawRwLock, upgradable_read, RawRwLock::unlock_upgradable);
}
PROBES
cd "$work"
CARGO_TARGET_DIR="$target" cargo rustc --quiet --release -p sync-core --lib -- \
    -C codegen-units=1 -C debuginfo=0 --cap-lints allow --emit "asm=$work/probes.s"
code() { # the code of one function, without the numbers of labels and without its own name
    sed -n "/^$1:/,/\.cfi_endproc/p" "$work/probes.s" | sed -E "s/$1/it/g; s/\.L[A-Za-z_]*[0-9_]+/.L/g; /^\s*\.cfi/d; /^\.L:/d"
}
same_function() { # the compiler has found the two to be one function
    grep -qE "^\.set $1, $2$|^\.set $2, $1$|^$1 = $2$|^$2 = $1$" "$work/probes.s"
}
failed=0
for lock in mutex fair read write upgradable; do
    if same_function "${lock}_watched" "${lock}_bare"; then
        echo "$lock: one and the same function"
    elif watched=$(code "${lock}_watched") && [ -n "$watched" ] && diff <(echo "$watched") <(code "${lock}_bare"); then
        echo "$lock: the same, instruction by instruction"
    else
        echo "$lock: the watch changes the code" >&2
        failed=1
    fi
done
exit $failed
