//! The feature `deadlock`: every kind of lock takes part, orders that cannot deadlock are not
//! reported, and a report names the places.
#![cfg(feature = "deadlock")]

#[path = "support/bomb.rs"]
mod bomb;
#[path = "support/child.rs"]
mod child;

use std::panic::{AssertUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::deadlock::{self, Cycle};
use sync_core::{
    Condvar, FairMutex, LazyLock, LockKind, Mutex, MutexGuard, Once, OnceLock, RawReentrantMutex,
    ReentrantMutex, RwLock,
};
use sync_core::{RwLockUpgradableReadGuard, RwLockWriteGuard};

const SHORT: Duration = Duration::from_millis(5);

/// The hook is one for all; tests that set one, or count on there being none, take turns.
static TURN: StdMutex<()> = StdMutex::new(());

/// The message of the panic that `f` ends with, without a hook.
fn report(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("nothing was reported");
    *panic.downcast::<String>().expect("a message")
}

fn alone() -> impl Drop + UnwindSafe {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that is reported while `f` runs, instead of panics.
fn reports(f: impl FnOnce()) -> Vec<Cycle> {
    let seen = Arc::new(StdMutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    deadlock::set_hook(move |cycle| sees.lock().unwrap().push(cycle.clone()));
    f();
    assert!(deadlock::take_hook() && !deadlock::take_hook());
    let seen = seen.lock().unwrap();
    seen.clone()
}

/// Any lock: takes it and returns the guard.
trait Takes {
    fn take(&self) -> Box<dyn FnOnce() + '_>;
}

macro_rules! takes {
    ($($Lock:ty, $take:ident);*) => {$(
        impl Takes for $Lock {
            fn take(&self) -> Box<dyn FnOnce() + '_> {
                let guard = self.$take();
                Box::new(move || drop(guard))
            }
        }
    )*};
}

takes!(Mutex<()>, lock; FairMutex<()>, lock; ReentrantMutex<()>, lock; RwLock<u8>, write);

struct Reads(RwLock<()>);
struct Upgradable(RwLock<()>);

impl Takes for Reads {
    fn take(&self) -> Box<dyn FnOnce() + '_> {
        let guard = self.0.read();
        Box::new(move || drop(guard))
    }
}

impl Takes for Upgradable {
    fn take(&self) -> Box<dyn FnOnce() + '_> {
        let guard = self.0.upgradable_read();
        Box::new(move || drop(guard))
    }
}

impl Takes for RawReentrantMutex {
    fn take(&self) -> Box<dyn FnOnce() + '_> {
        self.lock();
        Box::new(|| self.unlock().unwrap())
    }
}

fn every_kind() -> Vec<Box<dyn Takes>> {
    vec![
        Box::new(Mutex::new(())),
        Box::new(FairMutex::new(())),
        Box::new(ReentrantMutex::new(())),
        Box::new(RawReentrantMutex::new()),
        Box::new(RwLock::new(0_u8)),
        Box::new(Reads(RwLock::new(()))),
        Box::new(Upgradable(RwLock::new(()))),
    ]
}

#[test]
fn two_orders_of_two_locks_of_every_kind() {
    let _alone = alone();
    for a in every_kind() {
        for b in every_kind() {
            let (first, second) = (a.take(), b.take());
            second();
            first();
            // The same order again is fine, and so is each alone.
            let (first, second) = (a.take(), b.take());
            first();
            second();
            let second = b.take();
            let message = report(|| a.take()());
            second();
            assert!(
                message.starts_with("locks are taken in different orders, which can deadlock"),
                "{message}"
            );
        }
    }
}

#[test]
fn a_report_names_the_locks_the_threads_and_all_four_places() {
    let _alone = alone();
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    let mut here = Vec::new();
    let cycles = reports(|| {
        let place = thread::scope(|scope| {
            let body = || {
                let (_a, taken) = (a.lock(), line!());
                let (_b, asked) = (b.read(), line!());
                [taken, asked]
            };
            thread::Builder::new()
                .name("other".into())
                .spawn_scoped(scope, body)
                .unwrap()
                .join()
                .unwrap()
        });
        here.extend(place);
        let (_b, taken) = (b.write(), line!());
        let (_a, asked) = (a.lock(), line!());
        here.extend([taken, asked]);
    });
    let [cycle] = &cycles[..] else { panic!("one report, and not {}", cycles.len()) };
    let [ours, theirs] = cycle.steps() else { panic!("two steps: {cycle}") };
    assert_eq!((ours.holds(), ours.asks_for()), (theirs.asks_for(), theirs.holds()));
    assert_eq!((ours.holds().kind(), ours.asks_for().kind()), (LockKind::RwLock, LockKind::Mutex));
    assert_ne!(ours.holds().number(), ours.asks_for().number());
    assert_eq!(theirs.thread(), "other");
    assert_eq!(
        [
            theirs.held_since().line(),
            theirs.asked_at().line(),
            ours.held_since().line(),
            ours.asked_at().line()
        ],
        here[..]
    );
    for place in [theirs.held_since(), theirs.asked_at(), ours.held_since(), ours.asked_at()] {
        assert_eq!(place.file(), file!());
        assert!(cycle.to_string().contains(&place.to_string()), "{cycle}");
    }
}

#[test]
fn a_cycle_of_three_threads_and_three_locks() {
    let _alone = alone();
    let locks = [Mutex::new(()), Mutex::new(()), Mutex::new(())];
    let takes = |first: usize, second: usize| {
        let _first = locks[first].lock();
        let _second = locks[second].lock();
    };
    thread::scope(|scope| scope.spawn(|| takes(0, 1)).join().unwrap());
    thread::scope(|scope| scope.spawn(|| takes(1, 2)).join().unwrap());
    let cycles = reports(|| takes(2, 0));
    assert_eq!(cycles.len(), 1);
    let steps: Vec<_> = cycles[0]
        .steps()
        .iter()
        .map(|step| (step.holds().number(), step.asks_for().number()))
        .collect();
    let [(c, a), (a_again, b), (b_again, c_again)] = steps[..] else {
        panic!("three steps: {}", cycles[0])
    };
    assert_eq!((a, b, c), (a_again, b_again, c_again));
}

#[test]
fn the_hook_sees_an_order_once_and_the_panic_comes_every_time() {
    let _alone = alone();
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let forth = || drop((a.lock(), b.lock()));
    let back = || {
        let _b = b.lock();
        drop(a.lock());
    };
    {
        let _a = a.lock();
        drop(b.lock());
    }
    assert_eq!(report(back).matches("asks for").count(), 2);
    assert_eq!(report(back).matches("asks for").count(), 2);
    assert_eq!(reports(|| (back(), back()).0).len(), 1);
    // The first order is still the right one.
    assert_eq!(reports(forth).len(), 0);
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn waiting_for_oneself() {
    let _alone = alone();
    let itself = "a thread waits for a lock that it holds, which deadlocks";
    let mutex = Mutex::new(());
    let held = mutex.lock();
    assert!(report(|| drop(mutex.lock())).starts_with(itself));
    assert!(report(|| drop(mutex.lock())).starts_with(itself), "every time");
    drop(held);
    drop(mutex.lock());

    let fair = FairMutex::new(());
    let _held = fair.lock();
    assert!(report(|| drop(fair.lock())).starts_with(itself));

    // A writer that came in between would wait for the first, and the second for the writer.
    let lock = RwLock::new(());
    let reads = lock.read();
    assert!(report(|| drop(lock.read())).starts_with(itself));
    assert!(report(|| drop(lock.write())).starts_with(itself));
    drop(reads);

    // An upgrade waits for this thread's own reading.
    let upgradable = lock.upgradable_read();
    let reads = lock.try_read().unwrap();
    let upgrading = AssertUnwindSafe(upgradable);
    assert!(
        report(move || drop(RwLockUpgradableReadGuard::upgrade({ upgrading }.0)))
            .starts_with(itself)
    );
    drop(reads);
    drop(RwLockUpgradableReadGuard::upgrade(lock.upgradable_read()));

    static ONCE: Once = Once::new();
    let message = report(|| ONCE.call_once(|| ONCE.call_once(|| ())));
    assert!(message.starts_with(itself), "{message}");
    static LAZY: LazyLock<u32> = LazyLock::new(|| *LAZY + 1);
    assert!(report(|| assert_eq!(*LAZY, 0)).starts_with(itself));
    let cell = OnceLock::new();
    assert!(
        report(|| assert_eq!(*cell.get_or_init(|| *cell.get_or_init(|| 1)), 0)).starts_with(itself)
    );
}

#[test]
fn what_may_be_nested() {
    let _alone = alone();
    let lock = ReentrantMutex::new(());
    let other = Mutex::new(());
    let outer = lock.lock();
    let held = other.lock();
    // It does not wait for a lock that it has, so this is no order.
    let inner = lock.lock();
    drop(held);
    drop(outer);
    drop(inner);
    assert!(
        report(|| {
            let _other = other.lock();
            drop(lock.lock());
        })
        .starts_with("locks are taken")
    );
}

#[test]
fn once_is_a_lock_while_its_closure_runs() {
    let _alone = alone();
    let (once, lock) = (Once::new(), Mutex::new(()));
    once.call_once(|| drop(lock.lock()));
    // It has happened: no thread waits for it any more.
    let held = lock.lock();
    once.call_once(|| unreachable!());
    drop(held);

    let once = Once::new();
    let held = lock.lock();
    once.call_once(|| ());
    drop(held);
    let once = Arc::new(Once::new());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        once.call_once(|| {
            let _held = lock.lock();
            panic!("on purpose");
        })
    }));
    panicked.unwrap_err();
    let message = report(|| {
        let _held = lock.lock();
        once.call_once_force(|_| ());
    });
    assert!(message.starts_with("locks are taken"), "{message}");
}

#[test]
fn attempts_add_nothing_when_they_ask_and_count_once_they_have_it() {
    let _alone = alone();
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let held = a.lock();
    drop(b.lock());
    drop(held);
    // The other way round, by attempts: each gives up in the end.
    let held = b.lock();
    drop(a.try_lock().unwrap());
    drop(a.try_lock_for(SHORT).unwrap());
    drop(a.try_lock_until(Instant::now() + SHORT).unwrap());
    drop(held);
    // But a lock that was taken by an attempt is held.
    let c = Mutex::new(());
    let held = c.try_lock().unwrap();
    drop(a.lock());
    drop(held);
    let held = a.lock();
    assert!(report(|| drop(c.lock())).starts_with("locks are taken"));
    // And an attempt that failed holds nothing.
    assert!(a.try_lock().is_none() && a.try_lock_for(SHORT).is_none());
    drop(held);
    drop(c.lock());
    let lock = RwLock::new(());
    let reads = lock.read();
    drop(lock.try_read().unwrap());
    drop(reads);
    drop(lock.read());
}

#[test]
fn a_condition_variable_takes_its_lock_again() {
    let _alone = alone();
    let (lock, other, changed) = (Mutex::new(()), Mutex::new(()), Condvar::new());
    // The lock before the other; and a wait that keeps the other takes them the other way round.
    let mut guard = lock.lock();
    let held = other.lock();
    let cycles = reports(|| assert!(changed.wait_for(&mut guard, SHORT).timed_out()));
    assert_eq!(cycles.len(), 1, "the wait holds the other lock and asks for its own");
    assert_eq!(cycles[0].steps()[0].asked_at().file(), file!());
    drop((held, guard));
    // A wait that holds nothing else is fine; and during the wait the lock is not held.
    let mut guard = lock.lock();
    assert_eq!(reports(|| assert!(changed.wait_for(&mut guard, SHORT).timed_out())).len(), 0);
    MutexGuard::unlocked(&mut guard, || drop(other.lock()));
    MutexGuard::bump(&mut guard);
    drop(guard);
}

#[test]
fn a_report_on_behalf_of_a_guard_does_not_panic() {
    let _alone = alone();
    let (lock, other, changed) = (Mutex::new(()), Mutex::new(()), Condvar::new());
    let mut guard = lock.lock();
    let held = other.lock();
    // Without a hook: printed, and the guard is what it was.
    assert!(changed.wait_for(&mut guard, SHORT).timed_out());
    assert!(lock.is_locked());
    drop((held, guard));
    assert!(!lock.is_locked());
    // The same while a panic unwinds already: that goes on as it was.
    struct Locks<'a>(&'a Mutex<()>);
    impl Drop for Locks<'_> {
        fn drop(&mut self) {
            drop(self.0.lock());
        }
    }
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let held = a.lock();
    drop(b.lock());
    drop(held);
    let _b = b.lock();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _locks = Locks(&a);
        panic!("the first panic");
    }));
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"the first panic"));
}

#[test]
fn a_lock_that_is_gone_is_forgotten() {
    let _alone = alone();
    let a = Mutex::new(());
    for _ in 0..100 {
        let b = Box::new(Mutex::new(()));
        let held = a.lock();
        drop(b.lock());
        drop(held);
    }
    // In the place of one that is gone: the order is that of another lock.
    for _ in 0..100 {
        let b = Box::new(Mutex::new(()));
        let _b = b.lock();
        drop(a.lock());
    }
    // A lock that is moved is the same lock.
    let b = Mutex::new(());
    let held = a.lock();
    drop(b.lock());
    drop(held);
    let moved = Box::new(b);
    let _held = moved.lock();
    assert!(report(|| drop(a.lock())).starts_with("locks are taken"));
}

#[test]
fn a_guard_that_was_forgotten() {
    let _alone = alone();
    let lock = Mutex::new(());
    std::mem::forget(lock.lock());
    // SAFETY: for the guard that was forgotten.
    unsafe { lock.raw() }.unlock().unwrap();
    drop(lock.lock());
    let mapped = MutexGuard::map(lock.lock(), |data| data);
    assert!(report(|| drop(lock.lock())).starts_with("a thread waits"));
    drop(mapped);
    drop(lock.lock());
}

#[test]
fn all_modes_of_an_rwlock_release_what_they_took() {
    let _alone = alone();
    let lock = Arc::new(RwLock::new(0));
    let upgradable = lock.upgradable_read();
    let writes = RwLockUpgradableReadGuard::try_upgrade(upgradable).unwrap();
    let upgradable = RwLockWriteGuard::downgrade_to_upgradable(writes);
    let reads = RwLockUpgradableReadGuard::downgrade(upgradable);
    drop(reads);
    drop(lock.write_arc());
    drop(lock.read_arc());
    drop(lock.upgradable_read_arc());
    drop(RwLockWriteGuard::downgrade(lock.write()));
    drop(RwLockWriteGuard::map(lock.write(), |data| data));
    drop(lock.write());
}

#[test]
fn the_hook_may_use_locks() {
    let _alone = alone();
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    static MORE: Mutex<()> = Mutex::new(());
    deadlock::set_hook(|cycle| {
        let mut seen = SEEN.lock();
        let _more = MORE.lock();
        seen.push(cycle.to_string());
    });
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    for (first, second) in [(&a, &b), (&b, &a)] {
        let _first = first.lock();
        drop(second.lock());
    }
    deadlock::take_hook();
    assert_eq!(SEEN.lock().len(), 1);
}

#[test]
fn a_hook_that_panics_keeps_the_lock_from_being_taken() {
    let _alone = alone();
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock(), b.lock()));
    deadlock::set_hook(|_| panic!("says the hook"));
    let held = a.lock();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(a.lock()))).unwrap_err();
    deadlock::take_hook();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"says the hook"));
    drop(held);
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn threads_that_keep_one_order_are_left_alone() {
    let _alone = alone();
    let locks: Vec<_> = (0..8).map(|_| Mutex::new(0_u32)).collect();
    let cycles = reports(|| {
        thread::scope(|scope| {
            for seed in 0..4_usize {
                let locks = &locks;
                scope.spawn(move || {
                    for turn in 0..500 {
                        let first = (seed + turn) % 7;
                        let mut one = locks[first].lock();
                        let mut two = locks[first + 1 + (turn % (7 - first))].lock();
                        *one += 1;
                        *two += 1;
                    }
                });
            }
        });
    });
    assert_eq!(cycles.len(), 0, "{}", cycles[0]);
    assert_eq!(locks.iter().map(|lock| *lock.lock()).sum::<u32>(), 4000);
}

/// Two locks in one order, then a wait that takes the first again while the second is held: the
/// report comes where a guard of the first lives. Returns whether the lock is held as
/// long as the guard lives, and no longer.
fn a_cycle_on_behalf_of_a_guard() -> bool {
    let (first, second, changed) = (Mutex::new(0), Mutex::new(()), Condvar::new());
    {
        let _first = first.lock();
        drop(second.lock());
    }
    let mut guard = first.lock();
    let _second = second.try_lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Taken in the wait of the other, and held beyond its time: it takes the lock again,
            // and reports, while this guard lives.
            let mut mine = first.lock();
            *mine += 1;
            thread::sleep(10 * SHORT);
            assert!(first.try_lock().is_none(), "two guards");
            drop(mine);
        });
        let _ = changed.wait_for(&mut guard, 5 * SHORT);
    });
    let whole = first.is_locked();
    drop(guard);
    whole && !first.is_locked()
}

#[test]
fn a_hook_whose_panic_payload_panics_reaches_no_guard() {
    let _alone = alone();
    for kind in bomb::KINDS {
        deadlock::set_hook(move |_| kind.blow());
        assert!(a_cycle_on_behalf_of_a_guard());
        assert!(deadlock::take_hook());
    }
}

/// The report is written where a panic would do harm; that it cannot be written does none.
#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_written_reaches_no_guard() {
    if child::is_child() {
        // The code of the child is all that it can say: its standard error is full.
        std::process::exit(if a_cycle_on_behalf_of_a_guard() { 0 } else { 1 });
    }
    let _alone = alone();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = child::run("a_report_that_cannot_be_written_reaches_no_guard", full.into());
    assert_eq!(output.status.code(), Some(0));
}

/// The orders of the parent's threads are not the child's.
#[test]
#[cfg(target_os = "linux")]
fn the_child_of_a_fork_begins_without_any_order() {
    let _alone = alone();
    let (first, second) = (Mutex::new(()), Mutex::new(()));
    let in_order = |one: &Mutex<()>, other: &Mutex<()>| {
        let _one = one.lock();
        drop(other.lock());
    };
    in_order(&first, &second);
    // SAFETY: the child uses locks, and memory, which the C library keeps usable.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: an alarm for a child that hangs.
        unsafe { libc::alarm(60) };
        // A hook, because a panic prints, and another thread may have been printing.
        let reverse = reports(|| in_order(&second, &first)).is_empty();
        let cycle = reports(|| in_order(&first, &second)).len() == 1;
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(i32::from(!reverse) + 2 * i32::from(!cycle)) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "256: the parent's order was there; 512: the child's own was not");
    assert_eq!(reports(|| in_order(&second, &first)).len(), 1);
}
