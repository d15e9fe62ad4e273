//! Suppresses the reports of the locks that an instrument itself takes.

use core::cell::Cell;

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, unless an instrument is the caller: the locks that a hook takes, or the allocator, are
/// not reported.
pub(super) fn quietly(f: impl FnOnce()) {
    if !BUSY.get() {
        unreported(f);
    }
}

/// Runs `f`, without reports of the locks that it takes.
pub(crate) fn unreported(f: impl FnOnce()) {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            BUSY.set(self.0);
        }
    }
    let _restore = Restore(BUSY.replace(true));
    f();
}
