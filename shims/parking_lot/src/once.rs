//! A `Once` that passes its state to the closure of `call_once_force`.

pub use sync_core::OnceStatus as OnceState;

/// A closure that runs once.
#[derive(Debug, Default)]
pub struct Once(sync_core::Once);

impl Once {
    /// Creates a `Once` whose closure has not run.
    pub const fn new() -> Self {
        Self(sync_core::Once::new())
    }

    /// Returns the state.
    pub fn state(&self) -> OnceState {
        self.0.state()
    }

    /// Runs `f` unless a closure has run already, or waits for the thread that runs one.
    ///
    /// # Panics
    ///
    /// If `f` panics, or a closure before it did.
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        self.0.call_once(f);
    }

    /// As [`call_once`](Self::call_once), also after a closure that panicked.
    #[track_caller]
    pub fn call_once_force<F: FnOnce(OnceState)>(&self, f: F) {
        self.0.call_once_force(|state| {
            f(if state.is_poisoned() { OnceState::Poisoned } else { OnceState::New });
        });
    }
}
