//! The feature `stats`: waits are counted and shown, other acquisitions are not.
#![cfg(feature = "stats")]

#[path = "support/bomb.rs"]
mod bomb;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::stats::{self, Contention, Counters};
use sync_core::{
    BoundedSemaphore, FairMutex, LockKind, Mutex, OnceLock, ReentrantMutex, RwLock,
    RwLockUpgradableReadGuard, Semaphore,
};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

/// The hook and the counters are one for all: tests take turns.
static TURN: StdMutex<()> = StdMutex::new(());

/// Returns the reports to the hook while `f` runs, and the changes of the counters of their kinds.
fn seen(f: impl FnOnce()) -> Vec<Contention> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    const KINDS: [LockKind; 6] = [
        LockKind::Mutex,
        LockKind::FairMutex,
        LockKind::ReentrantMutex,
        LockKind::RwLock,
        LockKind::Once,
        LockKind::Semaphore,
    ];
    let before = KINDS.map(stats::counters);
    let seen = Arc::new(StdMutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    stats::set_hook(move |contention| sees.lock().unwrap().push(contention.clone()));
    f();
    assert!(stats::take_hook() && !stats::take_hook());
    let seen = seen.lock().unwrap().clone();
    for (kind, before) in KINDS.into_iter().zip(before) {
        let after: Counters = stats::counters(kind);
        let ours = || seen.iter().filter(|contention| contention.kind() == kind);
        assert_eq!(after.contended - before.contended, ours().count() as u64, "{kind:?}");
        assert_eq!(
            after.timed_out - before.timed_out,
            ours().filter(|it| !it.acquired()).count() as u64,
            "{kind:?}"
        );
        assert_eq!(after.waited - before.waited, ours().map(Contention::waited).sum(), "{kind:?}");
    }
    seen
}

#[test]
fn every_kind_that_gives_up_is_seen_with_its_place_and_time() {
    let (mutex, fair, reentrant) = (Mutex::new(()), FairMutex::new(()), ReentrantMutex::new(()));
    let (lock, semaphore, bounded) = (RwLock::new(()), Semaphore::new(0), BoundedSemaphore::new(1));
    let mut lines = Vec::new();
    let waits = seen(|| {
        let _held = (mutex.lock(), fair.lock(), reentrant.lock(), bounded.acquire().unwrap());
        let writes = lock.write();
        thread::scope(|scope| {
            let waits = || {
                let mut lines = vec![line!() + 1];
                assert!(mutex.try_lock_for(SHORT).is_none());
                lines.push(line!() + 1);
                assert!(fair.try_lock_for(SHORT).is_none());
                lines.push(line!() + 1);
                assert!(reentrant.try_lock_until(Instant::now() + SHORT).is_none());
                lines.push(line!() + 1);
                assert!(lock.try_read_for(SHORT).is_none());
                lines.push(line!() + 1);
                assert!(lock.try_write_for(SHORT).is_none());
                lines.push(line!() + 1);
                assert!(lock.try_upgradable_read_for(SHORT).is_none());
                lines.push(line!() + 1);
                assert!(semaphore.try_acquire_for(SHORT).is_err());
                lines.push(line!() + 1);
                assert!(bounded.try_acquire_many_for(1, SHORT).is_err());
                lines
            };
            lines = scope.spawn(waits).join().unwrap();
        });
        drop(writes);
        let upgradable = lock.upgradable_read();
        let _reads = lock.try_read().unwrap();
        lines.push(line!() + 1);
        assert!(RwLockUpgradableReadGuard::try_upgrade_for(upgradable, SHORT).is_err());
    });
    use LockKind::{FairMutex as F, Mutex as M, ReentrantMutex as R, RwLock as L, Semaphore as S};
    assert_eq!(waits.iter().map(Contention::kind).collect::<Vec<_>>(), [M, F, R, L, L, L, S, S, L]);
    assert_eq!(waits.iter().map(|wait| wait.location().line()).collect::<Vec<_>>(), lines);
    for wait in &waits {
        assert!(
            !wait.acquired() && wait.waited() >= SHORT && wait.location().file() == file!(),
            "{wait}"
        );
    }
    assert_eq!(waits[3].address(), waits[8].address(), "the same lock");
    assert_ne!(waits[0].address(), waits[1].address());
}

#[test]
fn one_that_waited_and_got_it() {
    let lock = Mutex::new(());
    let waits = seen(|| {
        let held = lock.lock();
        thread::scope(|scope| {
            scope.spawn(|| drop(lock.lock()));
            scope.spawn(|| assert!(lock.try_lock_for(LONG).is_some()));
            // Not before both have attempted it: only the threads themselves know that, so this is
            // given some time.
            thread::sleep(SHORT * 4);
            drop(held);
        });
    });
    // A thread that was started late did not have to wait.
    assert!(waits.len() <= 2 && waits.iter().all(Contention::acquired), "{waits:?}");
}

#[test]
fn a_thread_that_need_not_wait_is_not_seen() {
    let waits = seen(|| {
        let (mutex, lock, semaphore) = (Mutex::new(()), RwLock::new(()), Semaphore::new(2));
        drop(mutex.lock());
        drop(mutex.try_lock_for(SHORT).unwrap());
        let held = mutex.lock();
        assert!(mutex.try_lock().is_none(), "an attempt does not wait");
        drop(held);
        drop((lock.try_read().unwrap(), lock.try_read_for(LONG).unwrap()));
        drop(RwLockUpgradableReadGuard::upgrade(lock.upgradable_read()));
        drop(lock.write());
        drop((semaphore.acquire().unwrap(), semaphore.acquire().unwrap()));
        let nested = ReentrantMutex::new(());
        drop((nested.lock(), nested.lock()));
    });
    assert!(waits.is_empty(), "{waits:?}");
}

#[test]
fn waiting_for_a_value_that_another_makes() {
    let cell = OnceLock::new();
    let waits = seen(|| {
        thread::scope(|scope| {
            let (began, begun) = std::sync::mpsc::channel();
            let cell = &cell;
            scope.spawn(move || {
                cell.get_or_init(|| {
                    began.send(()).unwrap();
                    thread::sleep(SHORT);
                    7
                })
            });
            begun.recv().unwrap();
            assert_eq!(*cell.get_or_init(|| unreachable!()), 7);
        });
    });
    // It may have been made between the message and the look.
    assert!(
        waits.len() <= 1
            && waits.iter().all(|wait| wait.kind() == LockKind::Once && wait.acquired()),
        "{waits:?}"
    );
}

#[test]
fn a_hook_that_panics_or_locks_does_no_harm() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    static CALLS: Mutex<u32> = Mutex::new(0);
    stats::set_hook(|_| {
        *CALLS.lock() += 1;
        panic!("says the hook");
    });
    let lock = Mutex::new(());
    let held = lock.lock();
    assert!(catch_unwind(AssertUnwindSafe(|| lock.try_lock_for(SHORT).is_none())).unwrap());
    drop(held);
    stats::take_hook();
    assert_eq!(*CALLS.lock(), 1);
    assert!(!lock.is_locked());
}

/// Whatever the hook throws, the thread that waited has the lock, with a guard.
#[test]
fn a_hook_whose_panic_payload_panics_leaves_nothing_locked() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in bomb::KINDS {
        stats::set_hook(move |_| kind.blow());
        let (mutex, shared, semaphore, once) =
            (Mutex::new(()), RwLock::new(()), Semaphore::new(1), sync_core::Once::new());
        thread::scope(|scope| {
            let held = (mutex.lock(), shared.write(), semaphore.acquire().unwrap());
            scope.spawn(|| drop(mutex.lock()));
            scope.spawn(|| drop(shared.read()));
            scope.spawn(|| drop(semaphore.acquire()));
            scope.spawn(|| once.call_once(|| thread::sleep(SHORT)));
            scope.spawn(|| once.call_once(|| thread::sleep(SHORT)));
            thread::sleep(SHORT);
            drop(held);
        });
        assert!(mutex.try_lock().is_some() && shared.try_write().is_some());
        assert!(semaphore.try_acquire().is_ok() && once.is_completed());
        // One that gives up holds nothing, and unwinds no more than the others.
        let held = mutex.lock();
        assert!(mutex.try_lock_for(SHORT).is_none());
        drop(held);
        assert!(stats::take_hook());
    }
}
