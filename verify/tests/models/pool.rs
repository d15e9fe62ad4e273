//! `ThreadPool` and its handles: the result is handed over, cancelling and running exclude each other, and nobody who waits is forgotten.

use std::time::Duration;

use sync_queue::{JobError, ThreadPool};

use crate::support::{Arc, Tracked};

model! {
    /// A worker runs the job; its result and what it wrote are seen.
    fn result_is_handed_over(_order) small {
        let data = Arc::new(Tracked::new(0));
        let pool = ThreadPool::new(1);
        let inside = data.clone();
        let handle = pool.submit(move || inside.set(7)).unwrap();
        handle.result().unwrap();
        assert_eq!(data.get(), 7);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// Cancelled or run, never both, never neither.
    fn cancel_against_run(_order) small {
        let data = Arc::new(Tracked::new(0));
        let pool = ThreadPool::new(1);
        let inside = data.clone();
        let handle = pool.submit(move || inside.set(7)).unwrap();
        let cancelled = handle.cancel();
        match handle.result() {
            Ok(()) => assert!(!cancelled && data.get() == 7),
            Err(JobError::Cancelled) => assert!(cancelled && data.get() == 0),
            Err(other) => panic!("{other}"),
        }
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A wait that times out at the moment the job ends; then the handle is dropped, and somebody drops the result.
    fn timeout_against_the_end(_order) small {
        let pool = ThreadPool::new(1);
        let result = Arc::new(Tracked::new(0));
        let inside = result.clone();
        let handle = pool.submit(move || inside).unwrap();
        match handle.result_timeout(Duration::from_millis(1)) {
            Ok(same) => drop(same.unwrap()),
            Err(handle) => drop(handle),
        }
        pool.shutdown(true, false).unwrap();
        drop(pool);
        assert_eq!(Arc::strong_count(&result), 1);
    }
}
