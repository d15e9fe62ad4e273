//! A counter built on `sync_core::Mutex`, and its owner's own loom model of it.

use sync_core::Mutex;

/// A counter.
#[derive(Debug)]
pub struct Counter(Mutex<u32>);

impl Counter {
    /// Starts at zero.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Mutex::new(0))
    }

    /// Adds one in a single critical section.
    pub fn add(&self) {
        *self.0.lock() += 1;
    }

    /// Adds one in two critical sections: a bug that a model must find.
    pub fn add_in_two_steps(&self) {
        let before = *self.0.lock();
        *self.0.lock() = before + 1;
    }

    /// How many were added.
    pub fn get(&self) -> u32 {
        *self.0.lock()
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::Counter;
    use loom::sync::Arc;
    use loom::thread;

    fn two_threads(add: fn(&Counter)) {
        loom::model(move || {
            let counter = Arc::new(Counter::new());
            let other = Arc::clone(&counter);
            let thread = thread::spawn(move || add(&other));
            add(&counter);
            thread.join().unwrap();
            assert_eq!(counter.get(), 2);
        });
    }

    #[test]
    fn adds_are_not_lost() {
        two_threads(Counter::add);
    }

    #[test]
    #[should_panic(expected = "left: 1")]
    fn loom_sees_into_our_mutex() {
        two_threads(Counter::add_in_two_steps);
    }
}
