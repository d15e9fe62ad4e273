//! The fork policy of the workspace, in one place. Public for the sibling crates, and no promise to
//! other users. What it means for users is in the documentation of [`thread`](crate::thread).
//!
//! The child of a `fork` has one thread, the one that forked. The other threads are not there: a
//! wait for one of them never ends, a lock that one of them held is never released, and what one of
//! them was about to write is never written. And handles are copies: what the parent registered,
//! holds or has to give back is the parent's.
//!
//! So every object that waits for a thread of ours, or whose `Drop` gives something back, remembers
//! the process that it belongs to ([`ProcessMark::current`]) and asks before it waits or gives back
//! ([`ProcessMark::is_current`]). In a child it does neither. And every lock of ours that is shared
//! by the whole process is in a [`PerProcess`]: the child starts with a fresh one.
//!
//! A handler of the system's (`pthread_atfork`) counts forks in one word; to ask costs a load and a
//! comparison. A child that was made without the C library (a bare `clone`) notices nothing. On
//! systems without `fork` every mark is current.

use core::num::NonZeroU64;
use core::ptr;
#[cfg(unix)]
use core::sync::atomic::{AtomicBool, Ordering::Release};
use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// The number of forks between the first process and this one. Not a modelled atomic: no model
/// forks.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The number of the thread that this process began with; 0 in a process that was not forked.
static FIRST_THREAD: AtomicU64 = AtomicU64::new(0);

/// The process that an object was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMark(u64);

impl ProcessMark {
    /// The mark of this process.
    ///
    /// The first call of a program registers the fork handler. That may allocate, so it belongs
    /// into constructors and not into slow paths.
    #[inline]
    pub fn current() -> Self {
        #[cfg(unix)]
        watch_forks();
        // Relaxed: written only by the fork handler, before the child has a second thread.
        Self(GENERATION.load(Relaxed))
    }

    /// Returns whether the mark was made in this process: `false` in a child that was forked since,
    /// and in the children of that child.
    #[inline]
    pub fn is_current(self) -> bool {
        // Relaxed: see `current`.
        self.0 == GENERATION.load(Relaxed)
    }
}

/// Returns whether this process is a forked child, as far as the fork was noticed: locks of other
/// libraries, `std`'s among them, may be held by threads that are not in it.
#[cfg(any(feature = "deadlock", feature = "waits"))]
pub(crate) fn is_child() -> bool {
    // Relaxed: written only by the fork handler, before the child has a second thread.
    GENERATION.load(Relaxed) != 0
}

/// The number ([`primitive::thread::id`](crate::primitive::thread::id)) of the thread that forked
/// this process, which is the one that lives on from the parent; `None` in a process that was not
/// forked, or whose fork was not noticed.
pub fn first_thread() -> Option<NonZeroU64> {
    // Relaxed: written only by the fork handler, before the child has a second thread.
    NonZeroU64::new(FIRST_THREAD.load(Relaxed))
}

/// Registers a fork handler, once for a process and its children; `registered` is the handler's
/// own. A program that has no memory for it notices no forks.
///
/// Not a `Once`: in a child that was forked while another thread ran it, it would stay so forever.
/// Two threads may both register the handler, and so may a child whose parent was between the two
/// steps: to be called twice must be harmless.
///
/// # Safety
///
/// The handler only does what is allowed in the child of a threaded process.
#[cfg(unix)]
pub unsafe fn register(registered: &AtomicBool, in_child: extern "C" fn()) {
    // Acquire: pairs with the Release below. The handler was registered before that store.
    if !registered.load(Acquire) {
        // SAFETY: a function lives as long as the program; the rest is the caller's promise.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // Release: pairs with the Acquire of the load.
        registered.store(true, Release);
    }
}

#[cfg(unix)]
fn watch_forks() {
    extern "C" fn in_child() {
        // Relaxed, both: the child has one thread. Atomics, and a thread-local without a
        // destructor, are all that a fork handler may touch.
        GENERATION.fetch_add(1, Relaxed);
        // Under a checker numbers are of modelled threads; a test that forks has none.
        if !crate::primitive::MODELLED {
            FIRST_THREAD.store(crate::primitive::thread::id().get(), Relaxed);
        }
    }
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // SAFETY: it touches atomics and a thread-local without a destructor. With two handlers a fork
    // adds two to the generation, which still differs from those of all ancestors, and marks are
    // compared for equality only.
    unsafe { register(&REGISTERED, in_child) };
}

/// The body of a thread of ours that runs user code: in a child that this code has forked, the
/// process ends with the thread that came along, by code 0. It would by itself, except that `std`
/// takes a lock at the end of a thread, to forget where its stack ends; a thread of the parent that
/// was starting or ending at the fork holds that lock forever.
///
/// A child that has more threads by then ends as its own code decides, and so does one whose number
/// of threads is not known, because there is no Linux or no `/proc`.
pub fn thread_body(body: impl FnOnce()) -> impl FnOnce() {
    let started_in = ProcessMark::current();
    move || {
        body();
        if !started_in.is_current() && is_only_thread() {
            // The C library does the same at the end of the last thread. It runs the destructors
            // of the thread's locals and the exit handlers.
            #[cfg(unix)]
            // SAFETY: the process has no other thread that could be in a call of it, or that the
            // handlers could meet.
            unsafe {
                libc::exit(0)
            };
        }
    }
}

/// Returns whether the process is known to have one thread.
fn is_only_thread() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        // A folder has a link from its parent, one from itself, and one from each folder in it.
        std::fs::metadata("/proc/self/task").is_ok_and(|threads| threads.nlink() == 3)
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// A global value of which each process has its own: a forked child starts with a fresh one, whose
/// locks no thread of the parent holds.
///
/// A value is never dropped, because another thread may be using it; so each fork that is followed
/// by a use costs the memory of one value in the child.
#[derive(Debug)]
pub struct PerProcess<T> {
    value: AtomicPtr<Owned<T>>,
}

/// A value and the process that it was made in.
#[derive(Debug)]
struct Owned<T> {
    process: ProcessMark,
    value: T,
}

// SAFETY: it gives out `&T` to every thread, and drops a `T` that lost the race of the first use in
// the thread that made it.
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}

impl<T> PerProcess<T> {
    /// A value that is made when it is first used.
    pub const fn new() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Returns the value of this process, which `make` makes where there is none. It is given the
    /// parent's value, if the parent had one: nothing in it may be waited for, since threads that
    /// are not in this process may hold its locks.
    ///
    /// `make` must not use the same `PerProcess`.
    #[inline]
    pub fn get(&'static self, make: impl FnOnce(Option<&'static T>) -> T) -> &'static T {
        // Acquire: pairs with the Release in `make`.
        let found = self.value.load(Acquire);
        // SAFETY: a pointer that is not null is to a leaked value.
        match unsafe { found.as_ref() } {
            Some(owned) if owned.process.is_current() => &owned.value,
            owned => self.make(found, make(owned.map(|owned| &owned.value))),
        }
    }

    /// Returns the value of this process, if it was made already.
    #[inline]
    pub fn existing(&'static self) -> Option<&'static T> {
        // Acquire: pairs with the Release in `make`.
        let found = self.value.load(Acquire);
        // SAFETY: a pointer that is not null is to a leaked value.
        unsafe { found.as_ref() }
            .filter(|owned| owned.process.is_current())
            .map(|owned| &owned.value)
    }

    /// Installs `value` in the place of `found`, unless another thread was faster.
    #[cold]
    fn make(&'static self, found: *mut Owned<T>, value: T) -> &'static T {
        let fresh = Box::into_raw(Box::new(Owned { process: ProcessMark::current(), value }));
        // Release: pairs with the Acquire of the threads that use the value. Acquire: of the thread
        // that was faster.
        match self.value.compare_exchange(found, fresh, AcqRel, Acquire) {
            // SAFETY: leaked here.
            Ok(_) => unsafe { &(*fresh).value },
            Err(first) => {
                // SAFETY: made above, and given to no other thread.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: leaked by the thread that was faster, which is of this process: a pointer
                // changes in the first use of a process only.
                unsafe { &(*first).value }
            }
        }
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
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
