//! A pool of connections: a checkout waits for a connection for a limited time, and a connection
//! comes back when it is dropped.
//!
//! The same with `parking_lot` (the pool of `r2d2` is of this form):
//!
//! ```ignore
//! struct Pool { idle: Mutex<Vec<Connection>>, returned: Condvar }
//!
//! impl Pool {
//!     fn get(&self, timeout: Duration) -> Option<Pooled<'_>> {
//!         let deadline = Instant::now() + timeout;
//!         let mut idle = self.idle.lock();
//!         loop {
//!             if let Some(connection) = idle.pop() {
//!                 return Some(Pooled { pool: self, connection: Some(connection) });
//!             }
//!             if self.returned.wait_until(&mut idle, deadline).timed_out() {
//!                 return None;
//!             }
//!         }
//!     }
//! }
//!
//! impl Drop for Pooled<'_> {
//!     fn drop(&mut self) {
//!         self.pool.idle.lock().extend(self.connection.take());
//!         self.pool.returned.notify_one();
//!     }
//! }
//! ```
//!
//! There a newcomer can take the connection that a waiter was notified for, again and again. Here
//! the permit is the right to a connection, so no wait is written by hand, and no thread is
//! overtaken for longer than a millisecond.

use std::time::Duration;

use sync_core::{Mutex, Permit, Semaphore, TryAcquireError, thread};

struct Connection(u32);

struct Pool {
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
}

/// The fields are dropped in this order: the connection is back before its permit.
struct Pooled<'a> {
    connection: Returns<'a>,
    _permit: Permit<'a>,
}

struct Returns<'a>(&'a Pool, Option<Connection>);

impl Pool {
    fn get(&self, timeout: Duration) -> Result<Pooled<'_>, TryAcquireError> {
        let permit = self.free.try_acquire_for(timeout)?;
        let connection = Returns(self, self.idle.lock().pop());
        Ok(Pooled { connection, _permit: permit })
    }
}

impl Drop for Returns<'_> {
    fn drop(&mut self) {
        self.0.idle.lock().extend(self.1.take());
    }
}

impl Pooled<'_> {
    fn query(&self) -> u32 {
        self.connection.1.as_ref().expect("a permit is the right to a connection").0
    }
}

fn main() {
    let idle = Mutex::new(vec![Connection(1), Connection(2)]);
    let pool = Pool { idle, free: Semaphore::new(2) };
    thread::scope(|scope| {
        for _ in 0..8 {
            let works = || assert!(pool.get(Duration::from_secs(60)).expect("in time").query() > 0);
            scope.spawn(works).expect("a thread");
        }
    });
    let both = [(); 2].map(|()| pool.get(Duration::ZERO).expect("both are back"));
    let late = pool.get(Duration::from_millis(5)).map(|pooled| pooled.query());
    println!("a third checkout: {}", late.expect_err("there are two"));
    drop(both);
    assert_eq!(pool.idle.lock().len(), 2);
}
