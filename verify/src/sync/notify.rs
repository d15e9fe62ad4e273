use crate::engine::event::Rmw;
use crate::engine::extend::SPURIOUS;
use crate::engine::object::{self, Word};
use std::panic::Location;
use std::sync::atomic::Ordering;

/// loom's notification: one thread waits until another has notified it.
#[derive(Debug)]
pub struct Notify {
    token: Word,
}

impl Notify {
    /// Nobody has notified yet.
    pub const fn new() -> Notify {
        Notify {
            token: Word::new(0),
        }
    }

    /// Lets the current or the next `wait` return.
    #[track_caller]
    pub fn notify(&self) {
        self.token
            .attempt(Rmw::Swap, 1, 0, Ordering::Release, Location::caller());
    }

    /// Waits for a notification, or returns spuriously.
    #[track_caller]
    pub fn wait(&self) {
        let site = Location::caller();
        if object::choose(2, SPURIOUS, site) == 0 {
            self.token.wait(Rmw::Cas, 1, 0, Ordering::Acquire, site);
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify::new()
    }
}
