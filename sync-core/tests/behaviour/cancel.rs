//! A token ends every blocking call, and leaves nothing behind.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sync_core::task::block_on;
use sync_core::thread::Group;
use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, CancelToken, Cancelled, Condvar, Event, FairMutex,
    Latch, LazyLock, Mutex, NotLocked, Once, OnceLock, OnceState, OnceStatus, Parker, RateLimiter,
    RawFairMutex, RawMutex, RawReentrantMutex, RawRwLock, RawSemaphore, ReentrantMutex, RwLock,
    RwLockUpgradableReadGuard, Semaphore, WaitGroup,
};

use crate::watchdog::watch;

const MOMENT: Duration = Duration::from_millis(1);

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
fn a_token_ends_the_waits_for_guards_that_own_their_lock() {
    let _watch = watch();
    let (lock, fair) = (Arc::new(Mutex::new(())), Arc::new(FairMutex::new(())));
    let (shared, nested) = (Arc::new(RwLock::new(())), Arc::new(ReentrantMutex::new(())));
    let raw = RawReentrantMutex::new();
    raw.lock();
    let held = (lock.lock(), fair.lock(), shared.write(), nested.lock());
    assert!(ends(|token| is_cancelled(lock.lock_arc_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(fair.lock_arc_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(nested.lock_arc_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(raw.lock_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.read_arc_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.write_arc_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.upgradable_read_arc_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.read_recursive_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(shared.read_arc_recursive_or_cancelled(token))));
    drop(held);
    let token = CancelToken::new();
    token.cancel();
    let held = (
        lock.lock_arc_or_cancelled(&token).unwrap(),
        fair.lock_arc_or_cancelled(&token).unwrap(),
        nested.lock_arc_or_cancelled(&token).unwrap(),
        shared.upgradable_read_arc_or_cancelled(&token).unwrap(),
        shared.read_arc_or_cancelled(&token).unwrap(),
        shared.read_arc_recursive_or_cancelled(&token).unwrap(),
    );
    assert!(lock.is_locked() && fair.is_locked() && shared.is_locked());
    drop(held);
    assert!(!lock.is_locked() && !fair.is_locked() && !shared.is_locked());
    drop(shared.write_arc_or_cancelled(&token).unwrap());
    assert!(nested.try_lock().is_some());
}

#[test]
fn a_token_ends_an_upgrade_and_the_guard_comes_back() {
    let _watch = watch();
    let shared = RwLock::new(1);
    let reader = shared.read();
    assert!(ends(|token| {
        let guard = shared.upgradable_read();
        let mut guard = RwLockUpgradableReadGuard::upgrade_or_cancelled(guard, token).unwrap_err();
        // New readers come in again.
        assert!(shared.try_read().is_some());
        let result =
            RwLockUpgradableReadGuard::with_upgraded_or_cancelled(&mut guard, token, |_| ());
        is_cancelled(result)
    }));
    drop(reader);
    let token = CancelToken::new();
    token.cancel();
    let mut guard = shared.upgradable_read();
    let add = |value: &mut i32| *value += 1;
    RwLockUpgradableReadGuard::with_upgraded_or_cancelled(&mut guard, &token, add).unwrap();
    *RwLockUpgradableReadGuard::upgrade_or_cancelled(guard, &token).unwrap() += 1;
    assert_eq!(*shared.read(), 3);

    let raw = RawRwLock::new();
    assert_eq!(raw.upgrade_or_cancelled(&token), Ok(Err(NotLocked)));
    raw.upgradable_read();
    raw.read_recursive_or_cancelled(&token).unwrap();
    assert!(ends(|token| is_cancelled(raw.upgrade_or_cancelled(token))));
    raw.unlock_read().unwrap();
    assert_eq!(raw.upgrade_or_cancelled(&token), Ok(Ok(())));
    assert!(ends(|token| is_cancelled(raw.read_recursive_or_cancelled(token))));
}

#[test]
fn a_token_ends_the_waits_for_a_closure_of_another_thread() {
    let _watch = watch();
    let (once, cell, gate) = (Once::new(), OnceLock::new(), Event::new());
    static LAZY: LazyLock<u32> = LazyLock::new(|| {
        GATE.wait();
        7
    });
    static GATE: Event = Event::new();
    assert!(ends(|token| is_cancelled(once.wait_or_cancelled(token))));
    assert!(ends(|token| is_cancelled(once.wait_force_or_cancelled(token))));
    thread::scope(|scope| {
        scope.spawn(|| once.call_once(|| gate.wait()));
        scope.spawn(|| {
            cell.get_or_init(|| {
                gate.wait();
                7
            })
        });
        scope.spawn(|| LazyLock::force(&LAZY));
        while once.state() != OnceStatus::InProgress {
            thread::yield_now();
        }
        let never = || unreachable!("another thread runs its own");
        assert!(ends(|token| is_cancelled(once.call_once_or_cancelled(never, token))));
        let never = |_: &OnceState| unreachable!("another thread runs its own");
        assert!(ends(|token| is_cancelled(once.call_once_force_or_cancelled(never, token))));
        assert!(ends(|token| is_cancelled(once.wait_or_cancelled(token))));
        // Its maker may not have begun, then it is made here.
        let token = CancelToken::new();
        token.cancel();
        let made = cell.get_or_init_or_cancelled(|| 7, &token);
        assert!(made.is_err() || made == Ok(&7));
        let forced = LazyLock::force_or_cancelled(&LAZY, &{
            let token = CancelToken::new();
            GATE.set();
            token
        });
        assert_eq!(forced, Ok(&7));
        gate.set();
    });
    let token = CancelToken::new();
    token.cancel();
    assert_eq!(once.call_once_or_cancelled(|| unreachable!("it has run"), &token), Ok(()));
    assert_eq!(cell.get_or_init_or_cancelled(|| 8, &token), Ok(&7));
    assert_eq!(cell.set_or_cancelled(9, &token), Ok(Err(9)));
    let empty = OnceLock::new();
    let failed = empty.get_or_try_init_or_cancelled(|| Err::<u32, _>("no"), &token);
    assert_eq!(failed, Ok(Err("no")));
    assert_eq!(empty.set_or_cancelled(1, &token), Ok(Ok(())));
}

#[test]
fn a_token_ends_waits_for_a_parker_a_rate_and_threads() {
    let _watch = watch();
    let unparker = std::sync::Mutex::new(None);
    assert!(ends(|token| {
        let parker = Parker::new();
        *unparker.lock().unwrap() = Some(parker.unparker().clone());
        let cancelled = is_cancelled(parker.park_or_cancelled(token));
        parker.unparker().unpark();
        cancelled && parker.park_or_cancelled(token).is_ok() && !parker.park_timeout(MOMENT)
    }));

    // One token is there, and one more comes in 1000 seconds.
    let rate = RateLimiter::new(1, Duration::from_secs(1000));
    rate.acquire().unwrap();
    assert!(ends(|token| is_cancelled(rate.acquire_or_cancelled(token))));
    // It gave its place back: else this one would be due after 2000 seconds.
    let token = CancelToken::new();
    token.cancel();
    assert!(rate.acquire_many_or_cancelled(5, &token).is_err());
    assert!(rate.reserve(1).unwrap() <= Duration::from_secs(1000));
    assert!(ends(|token| {
        let cancelled = is_cancelled(rate.acquire_or_cancelled(token));
        cancelled && rate.reserve(1).is_ok_and(|due| due <= Duration::from_secs(2000))
    }));

    let end = Arc::new(Event::new());
    let group = Group::new();
    let (ends_it, calls) = (Arc::clone(&end), Arc::new(Event::new()));
    group.spawn(move || ends_it.wait()).unwrap();
    let called = Arc::clone(&calls);
    group.handle().at_exit(move || called.set()).unwrap();
    let token = CancelToken::new();
    token.cancel();
    let group = group.join_or_cancelled(&token).unwrap_err();
    assert!(calls.is_set(), "the callbacks are called before the wait");
    end.set();
    assert!(group.join_or_cancelled(&CancelToken::new()).is_ok());

    let end = Event::new();
    sync_core::thread::scope(|scope| {
        scope.spawn(|| end.wait()).unwrap();
        assert_eq!(scope.join_or_cancelled(&token), Err(Cancelled));
        end.set();
        assert_eq!(scope.join_or_cancelled(&CancelToken::new()), Ok(()));
    });
    let latch = Latch::new(2);
    assert!(ends(|token| is_cancelled(latch.count_down_and_wait_or_cancelled(token))));
    assert_eq!(latch.count(), 1);
}

/// A panic of a callback is that of the join, also if a first join was cancelled.
#[test]
fn a_group_whose_join_was_cancelled_panics_for_its_callback_in_the_end() {
    let end = Arc::new(Event::new());
    let group = Group::new();
    let ends_it = Arc::clone(&end);
    group.spawn(move || ends_it.wait()).unwrap();
    group.handle().at_exit(|| std::panic::resume_unwind(Box::new("a callback"))).unwrap();
    let token = CancelToken::new();
    token.cancel();
    let group = group.join_or_cancelled(&token).unwrap_err();
    end.set();
    let joined = std::panic::catch_unwind(|| group.join());
    assert_eq!(joined.unwrap_err().downcast_ref(), Some(&"a callback"));
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
