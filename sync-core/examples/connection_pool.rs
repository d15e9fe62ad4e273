//! A pool of connections: a checkout waits for a connection for a limited time, and a connection
//! comes back when it is dropped.
//!
//! The same with `parking_lot` (the pool of `r2d2` is of this form):
//!
//! ```ignore
//! use std::thread;
//! use std::time::{Duration, Instant};
//!
//! use parking_lot::{Condvar, Mutex};
//!
//! struct Connection(u32);
//!
//! struct Pool {
//!     idle: Mutex<Vec<Connection>>,
//!     returned: Condvar,
//! }
//!
//! struct Pooled<'a> {
//!     pool: &'a Pool,
//!     connection: Option<Connection>,
//! }
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
//! impl Pooled<'_> {
//!     fn query(&self) -> Option<u32> {
//!         self.connection.as_ref().map(|connection| connection.0)
//!     }
//! }
//!
//! impl Drop for Pooled<'_> {
//!     fn drop(&mut self) {
//!         self.pool.idle.lock().extend(self.connection.take());
//!         self.pool.returned.notify_one();
//!     }
//! }
//!
//! fn main() {
//!     let idle = Mutex::new(vec![Connection(1), Connection(2)]);
//!     let pool = Pool { idle, returned: Condvar::new() };
//!     thread::scope(|scope| {
//!         for _ in 0..8 {
//!             scope.spawn(|| {
//!                 let pooled = pool.get(Duration::from_secs(60)).expect("in time");
//!                 assert!(pooled.query() > Some(0));
//!             });
//!         }
//!     });
//!     let both = [(); 2].map(|()| pool.get(Duration::ZERO).expect("both are back"));
//!     let late = pool.get(Duration::from_millis(5));
//!     println!("a third checkout: {}", if late.is_none() { "the time was up" } else { "?" });
//!     drop(both);
//! }
//! ```
//!
//! There a newcomer can take the connection that a waiter was notified for, again and again. Here
//! the permit is the right to a connection, so no wait is written by hand, and no thread is
//! overtaken for longer than a millisecond.

use std::thread;
use std::time::Duration;

use sync_core::{Mutex, Permit, Semaphore, TryAcquireError};

struct Connection(u32);

struct Pool {
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
}

struct Pooled<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
    _permit: Permit<'a>,
}

impl Pool {
    fn get(&self, timeout: Duration) -> Result<Pooled<'_>, TryAcquireError> {
        let permit = self.free.try_acquire_for(timeout)?;
        Ok(Pooled { pool: self, connection: self.idle.lock().pop(), _permit: permit })
    }
}

impl Pooled<'_> {
    fn query(&self) -> Option<u32> {
        self.connection.as_ref().map(|connection| connection.0)
    }
}

impl Drop for Pooled<'_> {
    fn drop(&mut self) {
        // The permit is dropped after this.
        self.pool.idle.lock().extend(self.connection.take());
    }
}

fn main() {
    let idle = Mutex::new(vec![Connection(1), Connection(2)]);
    let pool = Pool { idle, free: Semaphore::new(2) };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let pooled = pool.get(Duration::from_secs(60)).expect("in time");
                assert!(pooled.query() > Some(0));
            });
        }
    });
    let both = [(); 2].map(|()| pool.get(Duration::ZERO).expect("both are back"));
    let late = pool.get(Duration::from_millis(5)).map(drop);
    println!("a third checkout: {}", late.expect_err("there are two"));
    drop(both);
}
