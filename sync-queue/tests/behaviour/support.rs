//! Helpers of the behaviour tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use sync_queue::{JobHandle, ThreadPool};

/// Long enough for another thread to have gone to sleep; a test that takes it for granted is right
/// either way, only less sharp.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(20);

/// A wait that ends by something else.
pub(crate) const LONG: Duration = Duration::from_secs(100);

/// Counts how often it and its clones were dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops(pub(crate) Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// An item that is counted when it is dropped.
    pub(crate) fn item(&self) -> Dropped {
        Dropped(self.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Dropped(Drops);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A job that runs until the other end is dropped or sent to.
pub(crate) fn blocked(pool: &ThreadPool) -> (JobHandle<u32>, mpsc::Sender<()>) {
    let (release, wait) = mpsc::channel::<()>();
    let (started, begun) = mpsc::channel();
    let handle = pool.submit(move || {
        started.send(()).unwrap();
        let _ = wait.recv();
        42
    });
    begun.recv().unwrap();
    (handle.unwrap(), release)
}

/// Panics without the noise of the hook.
pub(crate) fn fail() -> u32 {
    std::panic::resume_unwind(Box::new("it failed"))
}
