//! The fork policy of the workspace, in one place. Public for the sibling crates, and no promise to
//! other users.
//!
//! The child of a `fork` has one thread, the one that forked. The other threads are not there: a
//! wait for one of them never ends, a lock that one of them held is never released, and what one of
//! them was about to write is never written. And handles are copies: what the parent registered,
//! holds or has to give back is the parent's.
//!
//! So every object that waits for a thread of ours, or whose `Drop` gives something back, remembers
//! the process that it belongs to ([`ProcessMark::current`]) and asks before it waits or gives back
//! ([`ProcessMark::is_current`]). In a child it does neither.
//!
//! A handler of the system's (`pthread_atfork`) counts forks in one word; to ask costs a load and a
//! comparison. A child that was made without the C library (a bare `clone`) notices nothing. On
//! systems without `fork` every mark is current.

use core::sync::atomic::{AtomicU64, Ordering};

/// How many forks lie between the first process and this one. Not a modelled atomic: no model
/// forks.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The process that an object was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMark(u64);

impl ProcessMark {
    /// The mark of this process.
    ///
    /// The first call of a process registers the fork handler. That allocates, so it belongs into
    /// constructors and not into slow paths.
    #[inline]
    pub fn current() -> Self {
        #[cfg(unix)]
        watch_forks();
        // Relaxed: written only by the fork handler, before the child has a second thread.
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether the mark was made in this process: `false` in a child that was forked since, and in
    /// the children of that child.
    #[inline]
    pub fn is_current(self) -> bool {
        // Relaxed: see `current`.
        self.0 == GENERATION.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
fn watch_forks() {
    extern "C" fn in_child() {
        // Relaxed: the child has one thread. An atomic is all that a fork handler may touch.
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler lives as long as the program, and it only touches an atomic, which is
        // allowed in the child of a threaded process. If there is no memory to register it, forks
        // go unnoticed.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_current_in_the_process_that_made_it() {
        let mark = ProcessMark::current();
        assert!(mark.is_current());
        assert_eq!(mark, ProcessMark::current());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mark_is_not_current_in_a_forked_child() {
        let mark = ProcessMark::current();
        // SAFETY: the child only loads an atomic and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = i32::from(mark.is_current());
            // SAFETY: ends the child without the destructors of the parent's objects.
            unsafe { libc::_exit(status) };
        }
        assert!(child > 0, "fork failed");
        let mut status = 0;
        // SAFETY: `status` is writable, and the child is ours.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the mark was still current in the child");
        assert!(mark.is_current());
    }
}
