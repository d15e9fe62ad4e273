//! What a watcher itself does with locks is not watched.

use core::cell::Cell;

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Runs what watches, unless that is what called us: the locks that a hook takes, or the allocator,
/// are not watched.
pub(super) fn quietly(f: impl FnOnce()) {
    if !BUSY.get() {
        unwatched(f);
    }
}

/// Runs `f`; what it does with locks is not watched.
pub(crate) fn unwatched(f: impl FnOnce()) {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            BUSY.set(self.0);
        }
    }
    let _restore = Restore(BUSY.replace(true));
    f();
}
