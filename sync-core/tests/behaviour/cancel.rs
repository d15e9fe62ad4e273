//! A token ends every blocking call, and leaves nothing behind.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sync_core::task::block_on;
use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, CancelToken, Cancelled, Condvar, Event, FairMutex,
    Latch, Mutex, OnceLock, RawFairMutex, RawMutex, RawRwLock, RawSemaphore, ReentrantMutex,
    RwLock, Semaphore, WaitGroup,
};

use crate::watchdog::watch;

/// Runs a call that has to wait, cancels it from another thread, and returns that it ended so.
fn ends(call: impl FnOnce(&CancelToken) -> bool + Send) -> bool {
    let token = CancelToken::new();
    thread::scope(|scope| {
        let waits = scope.spawn(|| call(&token));
        thread::sleep(Duration::from_millis(2));
        assert!(!waits.is_finished(), "it did not wait");
        token.cancel();
        waits.join().unwrap()
    })
}

fn is_cancelled<T>(result: Result<T, Cancelled>) -> bool {
    result.is_err()
}

#[test]
fn a_token_ends_every_blocking_call() {
    let _watch = watch();
    let (lock, fair, shared, raw) =
        (Mutex::new(()), FairMutex::new(()), RwLock::new(()), RawMutex::new());
    raw.lock();
    let held = (lock.lock(), fair.lock(), shared.write());
    assert!(ends(|token| is_cancelled(lock.lock_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(raw.lock_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(fair.lock_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.read_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.write_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.upgradable_read_or_cancelled(token))));
    drop(held);
    assert!(!lock.is_locked() && !fair.is_locked() && !shared.is_locked());

    let (seats, bounded) = (Arc::new(Semaphore::new(1)), BoundedSemaphore::new(1));
    let _held = bounded.acquire().unwrap();
    assert!(ends(|token| is_cancelled(seats.acquire_many_or_cancelled(2, token))));
    assert!(ends(|token| is_cancelled(seats.acquire_arc_or_cancelled(2, token))));
    assert!(ends(|token| is_cancelled(bounded.acquire_or_cancelled(token))));
    assert_eq!(seats.available_permits(), 1);
    assert!(seats.try_acquire().is_ok(), "no head of the line is left");

    let (event, auto, latch) = (Event::new(), AutoResetEvent::new(), Latch::new(1));
    assert!(ends(|token| is_cancelled(event.wait_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(auto.wait_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(latch.wait_or_cancelled(token))));

    let barrier = Barrier::new(2);
    assert!(ends(|token| is_cancelled(barrier.wait_or_cancelled(token))));
    assert!(!barrier.is_broken() && barrier.waiting() == 0);

    let (lock, changed) = (Mutex::new(1), Condvar::new());
    assert!(ends(|token| is_cancelled(changed.wait_or_cancelled(&mut lock.lock(), token))));
    assert!(ends(|token| {
        let mut guard = lock.lock();
        is_cancelled(changed.wait_while_or_cancelled(&mut guard, |value| *value == 1, token))
    }));
    assert!(!lock.is_locked());

    let (nested, fair, shared, seats) =
        (ReentrantMutex::new(()), RawFairMutex::new(), RawRwLock::new(), RawSemaphore::new(0));
    let held = (nested.lock(), fair.lock(), shared.write());
    let token = CancelToken::new();
    assert!(nested.lock_or_cancelled(&token).is_ok(), "one level more");
    assert!(ends(|token| is_cancelled(nested.lock_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(fair.lock_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.read_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.write_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.upgradable_read_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(seats.acquire_or_cancelled(1, token))));
    drop(held);
    fair.unlock().unwrap();
    shared.unlock_write().unwrap();
    assert!(nested.try_lock().is_some() && !fair.is_locked() && !shared.is_locked());
    let group = WaitGroup::new();
    let other = group.clone();
    assert!(ends(|token| is_cancelled(group.wait_or_cancelled(token))));
    assert_eq!(other.count(), 1);

    let cell = OnceLock::<u32>::new();
    assert!(ends(|token| is_cancelled(cell.wait_or_cancelled(token))));
    let end = Arc::new(Event::new());
    let runs = sync_core::thread::spawn({
        let end = Arc::clone(&end);
        move || end.wait()
    })
    .unwrap();
    assert!(ends(|token| is_cancelled(runs.join_or_cancelled(token))));
    end.set();
    assert!(runs.join_or_cancelled(&CancelToken::new()).unwrap().is_ok());
}

#[test]
fn what_is_there_is_got_with_a_cancelled_token() {
    let token = CancelToken::new();
    token.cancel();
    let (lock, seats, event) = (Mutex::new(()), Semaphore::new(1), Event::new());
    event.set();
    assert!(lock.lock_or_cancelled(&token).is_ok());
    assert!(seats.acquire_or_cancelled(&token).unwrap().is_ok());
    assert_eq!(event.wait_or_cancelled(&token), Ok(()));
    assert_eq!(token.block_on(async { 1 }), Ok(1));
    assert_eq!(token.check(), Err(Cancelled));
}

#[test]
fn children_are_cancelled_with_their_parent_and_alone() {
    let parent = CancelToken::new();
    let (one, two) = (parent.child(), parent.child());
    let grandchild = one.child();
    one.cancel();
    assert!(one.is_cancelled() && grandchild.is_cancelled());
    assert!(!parent.is_cancelled() && !two.is_cancelled());
    parent.clone().cancel();
    assert!(parent.is_cancelled() && two.is_cancelled());
    assert!(parent.child().is_cancelled(), "a child of a cancelled token");
    block_on(two.wait_async());
    two.wait();
}

/// Neither the cancellation nor the drop of a long chain recurses.
#[test]
fn a_long_chain_of_tokens() {
    let first = CancelToken::new();
    let mut last = first.child();
    for _ in 0..100_000 {
        last = last.child();
    }
    first.cancel();
    assert!(last.is_cancelled());
    drop((first, last));
    let last = (0..100_000).fold(CancelToken::new(), |token, _| token.child());
    drop(last);
}

#[test]
fn a_token_that_is_dropped_armed_cancels() {
    let token = CancelToken::new();
    let kept = token.clone().cancel_on_drop().disarm();
    assert!(!kept.is_cancelled());
    drop(token.clone().cancel_on_drop());
    assert!(kept.is_cancelled());
}

#[test]
fn a_sleep_that_a_token_ends() {
    let _watch = watch();
    let token = CancelToken::new();
    assert!(!token.wait_timeout(Duration::from_millis(1)));
    assert!(!token.wait_deadline(Instant::now()));
    thread::scope(|scope| {
        let sleeps = scope.spawn(|| token.wait_timeout(Duration::MAX));
        token.cancel();
        assert!(sleeps.join().unwrap());
    });
}
