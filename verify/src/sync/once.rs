use crate::engine::memory_model::event::Rmw;
use crate::engine::runtime;
use crate::engine::runtime::object::Word;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::sync::atomic::Ordering;

const DONE: u64 = 2;

/// Replaces `std::sync::Once`.
pub struct Once {
    /// 0 or `DONE`.
    state: Word,
    /// Locked while an initialiser runs.
    turn: Word,
}

/// The state that [`Once::call_once_force`] passes to its closure.
#[derive(Debug)]
pub struct OnceState(());

impl OnceState {
    /// Never: a thread that panics fails the model.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        false
    }
}

impl Once {
    /// Nothing has run.
    pub const fn new() -> Once {
        Once { state: Word::new(0), turn: Word::new(0) }
    }

    /// Returns whether a closure has run to its end.
    ///
    /// # Memory ordering
    /// If so, what it did happens before this returns.
    #[track_caller]
    pub fn is_completed(&self) -> bool {
        self.state.load(Ordering::Acquire, Location::caller()) == DONE
    }

    fn run(&self, f: impl FnOnce(), site: &'static Location<'static>) {
        if self.state.load(Ordering::Acquire, site) == DONE {
            return;
        }
        self.turn.wait(Rmw::Cas, 0, 1, Ordering::Acquire, site);
        // Relaxed: the lock orders it.
        if self.state.load(Ordering::Relaxed, site) != DONE {
            f();
            // Release: pairs with the Acquire of who comes later.
            self.state.store(DONE, Ordering::Release, site);
        }
        self.turn.store(0, Ordering::Release, site);
    }

    /// Runs `f` unless one has run, and waits until one has run.
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        self.run(f, Location::caller());
    }

    /// As `call_once`.
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        self.run(|| f(&OnceState(())), Location::caller());
    }
}

impl Default for Once {
    fn default() -> Self {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("done", &(self.state.peek() == DONE)).finish_non_exhaustive()
    }
}

/// Replaces `std::sync::OnceLock`.
pub struct OnceLock<T> {
    once: Once,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written once, before any thread reads it.
unsafe impl<T: Send> Send for OnceLock<T> {}
// SAFETY: the value is written once, before any thread reads it.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// No value yet.
    pub const fn new() -> Self {
        OnceLock { once: Once::new(), value: UnsafeCell::new(None) }
    }

    /// The value, if it is there.
    #[track_caller]
    pub fn get(&self) -> Option<&T> {
        if self.once.is_completed() {
            // SAFETY: it was written before the `Once` was done.
            unsafe { (*self.value.get()).as_ref() }
        } else {
            None
        }
    }

    /// The value, if it is there.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Sets the value.
    ///
    /// # Errors
    /// Gives the value back when there is one already.
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; makes it if it is not there.
    #[track_caller]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        self.once.run(
            || {
                let value = f();
                // SAFETY: no thread reads before the `Once` is done, and only one closure runs.
                let old = unsafe { (*self.value.get()).replace(value) };
                // Of a static, from the execution before.
                runtime::drop_outside(old);
            },
            Location::caller(),
        );
        // SAFETY: it was written before the `Once` was done.
        unsafe { (*self.value.get()).as_ref() }.expect("the closure has run")
    }

    /// The value, if it is there.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out.
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceLock").field("once", &self.once).finish_non_exhaustive()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(v: T) -> Self {
        let lock = OnceLock::new();
        assert!(lock.set(v).is_ok());
        lock
    }
}

/// Replaces `std::sync::LazyLock`.
///
/// A static one is made again in every execution. Its closure is then called more than once, so it
/// must not own anything that is dropped; a `fn` or a closure that captures nothing does not.
pub struct LazyLock<T, F = fn() -> T> {
    cell: OnceLock<T>,
    init: UnsafeCell<ManuallyDrop<F>>,
    /// `init` has been called, so it owns nothing any more.
    called: Cell<bool>,
}

// SAFETY: `init` is only taken by the one initialiser that runs.
unsafe impl<T: Send, F: Send> Send for LazyLock<T, F> {}
// SAFETY: `init` is only taken by the one initialiser that runs.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that is made when it is first used.
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock {
            cell: OnceLock::new(),
            init: UnsafeCell::new(ManuallyDrop::new(f)),
            called: Cell::new(false),
        }
    }

    /// The value; makes it if it is not there.
    ///
    /// # Panics
    /// When it lives longer than an execution and its closure owns something.
    #[track_caller]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        this.cell.get_or_init(|| {
            assert!(
                !this.called.replace(true) || !std::mem::needs_drop::<F>(),
                "a LazyLock that lives longer than an execution is made again in the next one, so \
                 its closure must not own anything"
            );
            // SAFETY: called once; or again, and then there is nothing that would be dropped twice.
            let f = unsafe { std::ptr::read(this.init.get()) };
            ManuallyDrop::into_inner(f)()
        })
    }
}

impl<T, F> Drop for LazyLock<T, F> {
    fn drop(&mut self) {
        if !self.called.get() {
            // SAFETY: it has not been called, and is dropped once.
            unsafe { ManuallyDrop::drop(self.init.get_mut()) };
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;
    #[track_caller]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyLock").finish_non_exhaustive()
    }
}
