//! Futures that wait and are not polled, or are forgotten: what they hold up is what the
//! documentation of `task` says, and an object that comes to the address of theirs later has
//! nothing to do with them.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, CancelToken, Condvar, Event, FairMutex, Latch,
    Mutex, MutexGuard, OnceLock, Parker, RwLock, RwLockWriteGuard, Semaphore, TaskGuard,
};

use crate::watchdog::watch;

#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A future that was polled once, and waits.
struct Waits<F: Future> {
    future: Pin<Box<F>>,
    calls: Arc<Calls>,
}

impl<F: Future> Waits<F> {
    fn new(future: F) -> Self {
        let mut waits = Self { future: Box::pin(future), calls: Arc::default() };
        assert!(waits.poll().is_pending(), "it has nothing to wait for");
        waits
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.calls));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Forgets the future, and returns its waker.
    fn forget(self) -> Weak<Calls> {
        mem::forget(self.future);
        Arc::downgrade(&self.calls)
    }

    /// The wait ends by the call of its waker.
    fn ends(mut self) -> F::Output {
        assert_eq!(self.calls.0.load(SeqCst), 1, "its wake went to a future that was forgotten");
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it was woken, and waits on"),
        }
    }
}

/// Forgets waits of an object, and puts another object in its place; a wait for that ends.
///
/// `$held` keeps the object from its waiters. It is forgotten with the first object.
macro_rules! replaced {
    ($new:expr, |$object:ident| $held:expr, $wait:expr, |$guard:ident| $release:expr) => {{
        let mut place = Box::new(Some($new));
        let address = core::ptr::from_ref(&*place);
        {
            let $object = (*place).as_ref().expect("it is there");
            mem::forget($held);
            // More than one batch of them.
            for _ in 0..20 {
                mem::forget(Waits::new($wait));
            }
        }
        let $object = &*place.insert($new);
        let $guard = $held;
        let waits = Waits::new($wait);
        $release;
        let _ = waits.ends();
        assert_eq!(address, core::ptr::from_ref(&*place));
    }};
}

#[test]
fn a_forgotten_future_takes_no_wake_of_a_lock_that_comes_to_its_address() {
    let _watch = watch();
    replaced!(Mutex::new(1), |lock| lock.lock(), lock.lock_async(), |held| drop(held));
    replaced!(FairMutex::new(1), |lock| lock.lock(), lock.lock_async(), |held| drop(held));
    replaced!(RwLock::new(1), |lock| lock.write(), lock.read_async(), |held| drop(held));
    replaced!(RwLock::new(1), |lock| lock.read(), lock.write_async(), |held| drop(held));
    replaced!(
        RwLock::new(1),
        |lock| lock.upgradable_read(),
        lock.upgradable_read_async(),
        |held| drop(held)
    );
}

#[test]
fn a_forgotten_upgrade_takes_no_wake_of_a_lock_that_comes_to_its_address() {
    let _watch = watch();
    let mut place = Box::new(Some(RwLock::new(1)));
    for round in 0..2 {
        let lock = &*place.insert(RwLock::new(1));
        let reader = lock.read();
        let waits = Waits::new(async {
            TaskGuard::upgrade_async(lock.upgradable_read_async().await).await
        });
        if round == 0 {
            mem::forget((reader, waits));
        } else {
            drop(reader);
            drop(waits.ends());
        }
    }
}

#[test]
fn a_forgotten_future_takes_no_wake_of_an_object_that_comes_to_its_address() {
    let _watch = watch();
    let nothing = Vec::<()>::new;
    replaced!(Semaphore::new(0), |seats| nothing(), seats.acquire_async(), |_held| seats
        .add_permits(1));
    replaced!(Semaphore::new(0), |seats| nothing(), seats.acquire_many_async(3), |_held| seats
        .add_permits(3));
    replaced!(BoundedSemaphore::new(1), |seats| seats.acquire(), seats.acquire_async(), |held| {
        drop(held)
    });
    replaced!(Event::new(), |event| nothing(), event.wait_async(), |_held| event.set());
    replaced!(AutoResetEvent::new(), |event| nothing(), event.wait_async(), |_held| event.set());
    replaced!(Latch::new(1), |latch| nothing(), latch.wait_async(), |_held| latch.count_down(1));
    replaced!(OnceLock::new(), |cell| nothing(), cell.wait_async(), |_held| cell
        .set(1)
        .expect("it is empty"));
}

#[test]
fn a_forgotten_future_takes_no_notification_of_a_condvar_that_comes_to_its_address() {
    let _watch = watch();
    let mut place = Box::new(Some(Condvar::new()));
    for round in 0..2 {
        let lock = Mutex::new(());
        let changed = &*place.insert(Condvar::new());
        let waits = Waits::new(async { changed.wait_async(lock.lock_async().await).await });
        if round == 0 {
            mem::forget(waits);
        } else {
            changed.notify_one();
            drop(waits.ends());
        }
    }
}

/// A barrier and an event wake all, so a forgotten waiter costs nothing but its place in the table,
/// and a parker has one waiter.
#[test]
fn forgotten_futures_leave_the_table_with_their_object() {
    let _watch = watch();
    let mut place = Box::new(Some(Barrier::new(2)));
    for round in 0..2 {
        let barrier = &*place.insert(Barrier::new(2));
        let waits = Waits::new(barrier.wait_async());
        if round == 0 {
            let kept = waits.forget();
            *place = None;
            assert!(kept.upgrade().is_none(), "the table has a waker of a forgotten future");
        } else {
            assert!(barrier.wait().is_ok());
            assert!(waits.ends().is_ok());
        }
    }
    let mut parker = Parker::new();
    let waits = Waits::new(parker.park_async());
    let kept = waits.forget();
    drop(parker);
    assert!(kept.upgrade().is_none(), "the table has a waker of a forgotten future");
    let token = CancelToken::new();
    let waits = Waits::new(token.wait_async());
    let kept = waits.forget();
    drop(token);
    assert!(kept.upgrade().is_none(), "the table has a waker of a forgotten future");
}

#[test]
fn a_mutex_whose_next_owner_is_not_polled_is_free_for_others() {
    let _watch = watch();
    let lock = Mutex::new(0);
    for fair in [false, true] {
        let held = lock.lock();
        let chosen = Waits::new(lock.lock_async());
        let behind = Waits::new(lock.lock_async());
        if fair {
            // Reserved for the task: a thread that comes waits for a millisecond.
            MutexGuard::unlock_fair(held);
        } else {
            drop(held);
        }
        assert_eq!(chosen.calls.0.load(SeqCst), 1);
        assert!(!lock.is_locked());
        *lock.lock() += 1;
        // The task passes its wake on.
        drop(chosen);
        drop(behind.ends());
    }
    assert_eq!(*lock.lock(), 2);
}

/// A task has no clock: one that comes to a lock that is reserved for a waiter lets its executor
/// run the others once, and then takes the lock.
#[test]
fn a_task_that_comes_to_a_reserved_lock_is_polled_again_and_takes_it() {
    let _watch = watch();
    let lock = Mutex::new(());
    let held = lock.lock();
    let chosen = Waits::new(lock.lock_async());
    MutexGuard::unlock_fair(held);
    drop(Waits::new(lock.lock_async()).ends());
    drop(chosen);
    let lock = RwLock::new(());
    let held = lock.write();
    let chosen = Waits::new(lock.write_async());
    RwLockWriteGuard::unlock_fair(held);
    drop(Waits::new(lock.write_async()).ends());
    drop(chosen);
    assert!(!lock.is_locked());
}

#[test]
fn a_fair_mutex_is_held_by_the_task_that_it_was_handed_to() {
    let _watch = watch();
    let lock = FairMutex::new(());
    let held = lock.lock();
    let (next, behind) = (Waits::new(lock.lock_async()), Waits::new(lock.lock_async()));
    drop(held);
    assert!(lock.is_locked() && lock.try_lock().is_none(), "it is the task's");
    // A drop hands it on.
    drop(next);
    assert!(lock.is_locked() && lock.try_lock().is_none(), "it is the second task's");
    drop(behind.ends());
    assert!(!lock.is_locked());
}

#[test]
fn the_permits_wait_for_a_task_that_is_the_head_of_the_line() {
    let _watch = watch();
    let seats = Semaphore::new(0);
    let head = Waits::new(seats.acquire_many_async(2));
    let behind = Waits::new(seats.acquire_async());
    seats.add_permits(3);
    assert!(seats.try_acquire().is_err(), "the head goes first");
    drop(head);
    drop(behind.ends());
    assert_eq!(seats.available_permits(), 3);
    // One that requests one permit is no head.
    let seats = Semaphore::new(0);
    let chosen = Waits::new(seats.acquire_async());
    seats.add_permits(1);
    drop(seats.try_acquire().expect("the permit is free"));
    drop(chosen);
}

#[test]
fn an_event_that_a_task_was_chosen_for_is_set_for_others() {
    let event = AutoResetEvent::new();
    let mut chosen = Waits::new(event.wait_async());
    event.set();
    assert_eq!(chosen.calls.0.load(SeqCst), 1);
    assert!(event.try_wait(), "a call that comes takes it");
    assert!(chosen.poll().is_pending());
    event.set();
    assert_eq!(chosen.calls.0.load(SeqCst), 2);
    assert!(chosen.poll().is_ready());
}

#[test]
fn a_notification_is_kept_by_the_task_that_it_chose() {
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    let wait = || Waits::new(async { drop(changed.wait_async(lock.lock_async().await).await) });
    let (chosen, behind) = (wait(), wait());
    assert!(changed.notify_one());
    assert_eq!((chosen.calls.0.load(SeqCst), behind.calls.0.load(SeqCst)), (1, 0));
    // A drop passes it on.
    drop(chosen);
    behind.ends();
}

#[test]
fn a_value_waits_for_the_task_that_makes_it() {
    let cell = OnceLock::new();
    let makes = Waits::new(cell.get_or_init_async(std::future::pending::<u32>));
    let mut waits = Waits::new(cell.wait_async());
    assert!(waits.poll().is_pending(), "the value is being made");
    // A drop leaves it to the next one.
    drop(makes);
    assert_eq!(cell.get_or_init(|| 7), &7);
    assert_eq!(waits.poll(), Poll::Ready(&7));
}

/// A thread that polls the task, and blocks on the lock, would sleep forever.
#[test]
fn a_guard_that_a_task_holds_across_an_await_blocks_threads_until_the_task_is_polled() {
    let _watch = watch();
    let (lock, go) = (Mutex::new(0), Event::new());
    let mut holds = Waits::new(async {
        let mut guard = lock.lock_async().await;
        go.wait_async().await;
        *guard += 1;
    });
    go.set();
    // The task could go on, and is not polled.
    assert!(lock.try_lock_for(Duration::from_millis(1)).is_none());
    thread::scope(|scope| {
        let waits = scope.spawn(|| *lock.lock());
        assert!(holds.poll().is_ready());
        assert_eq!(waits.join().unwrap(), 1);
    });
}
