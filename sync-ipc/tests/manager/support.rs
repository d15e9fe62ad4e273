//! Functions that several tests let processes run, and types that they share.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sync_ipc::manager::{Event, Lock, ManagerError, Refusal};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A shared type of this program.
pub(crate) struct Account(Mutex<i64>);

impl Account {
    fn open(balance: i64) -> Self {
        assert!(balance >= 0, "a new account has no debts");
        Self(Mutex::new(balance))
    }

    fn deposit(&self, amount: i64) -> i64 {
        let mut balance = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *balance += amount;
        *balance
    }

    fn withdraw(&self, amount: i64) -> Result<i64, String> {
        let mut balance = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if *balance < amount {
            return Err(format!("only {balance} left"));
        }
        *balance -= amount;
        Ok(*balance)
    }

    fn audit(&self) {
        panic!("the books do not add up");
    }

    /// Forks, and returns in the child too: its number, and 0 there.
    fn split(&self) -> i64 {
        // SAFETY: what the child may do after it is under test.
        i64::from(unsafe { libc::fork() })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if *self.0.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()) == SPLITS_AT_THE_END {
            self.split();
        }
    }
}

/// An account of this balance forks when it is dropped.
pub(crate) const SPLITS_AT_THE_END: i64 = 4_711;

sync_ipc::shared! {
    /// An account in a manager.
    pub(crate) proxy AccountProxy for Account {
        new open(balance: i64);
        fn deposit(&self, amount: i64) -> i64;
        fn withdraw(&self, amount: i64) -> Result<i64, String>;
        fn audit(&self);
        fn split(&self) -> i64;
    }
}

/// Waits until `done`, for conditions that another process brings about.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, ManagerError>) -> Refusal {
    match result {
        Err(ManagerError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Whether an error is the clear report of a server that has ended.
pub(crate) fn is_gone(error: &ManagerError) -> bool {
    matches!(error, ManagerError::Gone | ManagerError::Unreachable(_))
}

pub(crate) fn square(n: u64) -> u64 {
    assert!(n != 13, "thirteen is no number");
    n * n
}

/// Takes the lock, reports that by the event, and keeps it until it is killed.
pub(crate) fn hold_lock(lock: Lock, held: Event) {
    let _guard = lock.lock().unwrap();
    held.set().unwrap();
    std::thread::sleep(LIMIT);
}

sync_ipc::entry!(square, hold_lock);
