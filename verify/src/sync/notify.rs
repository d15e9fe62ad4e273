use crate::engine::memory_model::event::Rmw;
use crate::engine::runtime::object::Word;
use std::panic::Location;
use std::sync::atomic::Ordering;

/// loom's notification: one thread waits until another has notified it.
#[derive(Debug)]
pub struct Notify {
    token: Word,
}

impl Notify {
    /// Creates a `Notify` without a notification.
    pub const fn new() -> Notify {
        Notify { token: Word::new(0) }
    }

    /// Lets the current or the next `wait` return.
    #[track_caller]
    pub fn notify(&self) {
        self.token.attempt(Rmw::Swap, 1, 0, Ordering::Release, Location::caller());
    }

    /// Waits for a notification. It never returns without one: after a spurious return loom lets
    /// every other thread go on as far as it can before this one, so models that were written for
    /// it take the notification for granted.
    #[track_caller]
    pub fn wait(&self) {
        self.token.wait(Rmw::Cas, 1, 0, Ordering::Acquire, Location::caller());
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify::new()
    }
}
