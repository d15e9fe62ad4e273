//! Tasks that start, are polled and are dropped at random, against naive oracles: at the end every
//! task that stays has what it waited for, and nothing is lost.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use sync_core::{
    AutoResetEvent, Barrier, Condvar, Event, FairMutex, Latch, Mutex, OnceLock, RwLock, Semaphore,
    TaskGuard, Upgradable,
};

#[derive(Clone, Copy, Debug)]
enum Call {
    /// Starts a wait, of a kind.
    Start(u8),
    /// Polls a wait if its waker was called, or also if it was not.
    Poll(usize, bool),
    /// Drops a wait, at whatever point it is.
    Drop(usize),
    /// Releases something that was got.
    Release(usize),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        4 => (0..3_u8).prop_map(Call::Start),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(at, always)| Call::Poll(at, always)),
        2 => any::<usize>().prop_map(Call::Drop),
        4 => any::<usize>().prop_map(Call::Release),
    ];
    proptest::collection::vec(call, 0..60)
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Gives back what the wait has got.
type GiveBack<'a> = Box<dyn FnOnce() + 'a>;

struct Wait<'a> {
    future: Pin<Box<dyn Future<Output = GiveBack<'a>> + 'a>>,
    woken: Arc<Flag>,
}

impl<'a> Wait<'a> {
    fn new(future: impl Future<Output = GiveBack<'a>> + 'a) -> Self {
        // The first poll needs no wake.
        Self { future: Box::pin(future), woken: Arc::new(Flag(AtomicBool::new(true))) }
    }

    fn poll(&mut self, always: bool) -> Option<Box<dyn FnOnce() + 'a>> {
        if !self.woken.0.swap(false, Ordering::SeqCst) && !always {
            return None;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(release) => Some(release),
            Poll::Pending => None,
        }
    }
}

/// Runs the calls. `start` makes a wait of a kind; what it gets is released by the closure that it
/// returns. `check` looks at the object with the number of things that are held.
fn run<'a>(calls: &[Call], start: impl Fn(u8) -> Wait<'a>, check: impl Fn(usize)) {
    let mut waits: Vec<Wait<'a>> = Vec::new();
    let mut held: Vec<Box<dyn FnOnce() + 'a>> = Vec::new();
    for &call in calls {
        match call {
            Call::Start(kind) => waits.push(start(kind)),
            Call::Poll(at, always) if !waits.is_empty() => {
                let at = at % waits.len();
                if let Some(got) = waits[at].poll(always) {
                    held.push(got);
                    drop(waits.remove(at));
                }
            }
            Call::Drop(at) if !waits.is_empty() => drop(waits.remove(at % waits.len())),
            Call::Release(at) if !held.is_empty() => held.remove(at % held.len())(),
            _ => {}
        }
        check(held.len());
    }
    // Only wakes count now: each round releases everything and polls the tasks that were woken.
    while !waits.is_empty() {
        let before = waits.len();
        held.drain(..).for_each(|release| release());
        for _ in 0..3 {
            waits.retain_mut(|wait| match wait.poll(false) {
                Some(got) => {
                    held.push(got);
                    false
                }
                None => true,
            });
        }
        assert!(waits.len() < before, "{before} tasks wait, nothing is held, and none was woken");
    }
    held.drain(..).for_each(|release| release());
    check(0);
}

fn release<'a, T: 'a>(guard: T) -> Box<dyn FnOnce() + 'a> {
    Box::new(move || drop(guard))
}

proptest! {
    #[test]
    fn a_mutex_loses_no_wake(calls in calls()) {
        let lock = Mutex::new(());
        run(
            &calls,
            |_| Wait::new(async { release(lock.lock_async().await) }),
            |held| {
                assert!(held <= 1);
                assert_eq!(lock.is_locked(), held == 1);
            },
        );
    }

    #[test]
    fn a_fair_mutex_loses_no_grant(calls in calls()) {
        let lock = FairMutex::new(());
        run(
            &calls,
            |_| Wait::new(async { release(lock.lock_async().await) }),
            |held| assert!(held <= 1),
        );
        assert!(!lock.is_locked());
    }

    #[test]
    fn a_readers_writer_lock_loses_no_wake(calls in calls()) {
        let lock = RwLock::new(());
        let start = |kind| match kind {
            0 => Wait::new(async { release(lock.read_async().await) }),
            1 => Wait::new(async { release(lock.write_async().await) }),
            _ => Wait::new(async { release(lock.upgradable_read_async().await) }),
        };
        run(&calls, start, |held| assert_eq!(lock.is_locked(), held > 0));
    }

    #[test]
    fn an_upgrade_loses_no_wake(calls in calls()) {
        let lock = RwLock::new(());
        let start = |kind| match kind {
            0 => Wait::new(async { release(lock.read_async().await) }),
            1 => Wait::new(async { release(lock.write_async().await) }),
            _ => Wait::new(async {
                let right = lock.upgradable_read_async().await;
                release(TaskGuard::<_, Upgradable>::upgrade_async(right).await)
            }),
        };
        // A task that waits for its upgrade holds the lock, too.
        run(&calls, start, |held| assert!(held == 0 || lock.is_locked()));
        assert!(!lock.is_locked());
    }

    #[test]
    fn a_semaphore_loses_no_permit(calls in calls()) {
        let seats = Semaphore::new(3);
        let start = |kind: u8| {
            let n = u32::from(kind) + 1;
            let seats = &seats;
            Wait::new(async move { release(seats.acquire_many_async(n).await.unwrap()) })
        };
        run(&calls, start, |held| assert!(held <= 3 && seats.available_permits() <= 3));
        assert_eq!(seats.available_permits(), 3);
    }

    #[test]
    fn an_auto_reset_event_loses_no_set(calls in calls()) {
        let event = AutoResetEvent::new();
        event.set();
        run(
            &calls,
            |_| Wait::new(async {
                event.wait_async().await;
                let event = &event;
                Box::new(move || event.set()) as Box<dyn FnOnce()>
            }),
            |held| assert!(held <= 1),
        );
        assert!(event.is_set());
    }
}

/// The state of a wait for an object that lets all waiters go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// It was not polled: it has not begun.
    New,
    Pending,
    /// It may go on.
    Released,
}

/// A wait that is over gives nothing back.
fn wait_only<'a>(future: impl Future<Output = ()> + 'a) -> Wait<'a> {
    Wait::new(async move {
        future.await;
        release(())
    })
}

/// Runs the calls on an object that opens by `open` and closes by `close`: exactly the waits that
/// had begun when it opened, or begin while it is open, end; and those were woken. `open` and
/// `close` return whether the object is open.
fn run_gate<'a>(
    calls: &[Call],
    start: impl Fn() -> Wait<'a>,
    open: impl Fn() -> bool,
    close: impl Fn() -> bool,
) {
    let mut waits: Vec<(Wait<'a>, Waits)> = Vec::new();
    let mut is_open = false;
    for &call in calls {
        match call {
            Call::Start(_) => waits.push((start(), Waits::New)),
            Call::Poll(at, always) if !waits.is_empty() => {
                let at = at % waits.len();
                let (wait, state) = &mut waits[at];
                let ends = is_open || *state == Waits::Released;
                let woken = wait.woken.0.load(Ordering::SeqCst);
                assert!(woken || *state != Waits::Released, "a wait was released and not woken");
                if wait.poll(always).is_some() {
                    assert!(ends, "a wait ended by itself");
                    drop(waits.remove(at));
                } else if woken || always {
                    assert!(!ends, "a wait did not end");
                    *state = Waits::Pending;
                }
            }
            Call::Drop(at) if !waits.is_empty() => drop(waits.remove(at % waits.len())),
            Call::Release(at) => {
                is_open = if at % 2 == 0 { open() } else { close() };
                for (_, state) in &mut waits {
                    if is_open && *state == Waits::Pending {
                        *state = Waits::Released;
                    }
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn an_event_releases_those_that_wait(calls in calls()) {
        let event = Event::new();
        let open = || { event.set(); true };
        let close = || { event.clear(); false };
        run_gate(&calls, || wait_only(event.wait_async()), open, close);
    }

    #[test]
    fn a_latch_releases_those_that_wait(calls in calls()) {
        let latch = Latch::new(3);
        let count_down = || {
            if latch.count() > 0 {
                latch.count_down(1);
            }
            latch.count() == 0
        };
        run_gate(&calls, || wait_only(latch.wait_async()), count_down, count_down);
    }

    /// A notification that a dropped task had goes to another task that waits, if there is one.
    /// (More waits may end than that, and none ends by itself.)
    #[test]
    fn a_condition_variable_loses_no_notification(calls in calls()) {
        let (lock, changed) = (Mutex::new(()), Condvar::new());
        let start = || wait_only(async {
            let guard = lock.lock_async().await;
            drop(changed.wait_async(guard).await);
        });
        // Each with the number of notifications before it began.
        let mut waits: Vec<(Wait<'_>, Option<usize>)> = Vec::new();
        // The tasks that wait for a notification, and a lower bound of the notifications for them.
        let (mut waiting, mut notified, mut all) = (0, 0_usize, 0);
        for &call in &calls {
            match call {
                Call::Start(_) => waits.push((start(), None)),
                Call::Poll(at, always) if !waits.is_empty() => {
                    let at = at % waits.len();
                    let (wait, began) = &mut waits[at];
                    if wait.poll(always).is_some() {
                        assert!(began.is_some_and(|began| began < all), "it was not notified");
                        (waiting, notified) = (waiting - 1, notified.saturating_sub(1));
                        drop(waits.remove(at));
                    } else if began.is_none() {
                        *began = Some(all);
                        waiting += 1;
                    }
                }
                Call::Drop(at) if !waits.is_empty() => {
                    let (_, began) = waits.remove(at % waits.len());
                    waiting -= usize::from(began.is_some());
                    notified = notified.min(waiting);
                    // It may have passed one on, to any task that waits now.
                    all += 1;
                }
                Call::Release(at) => {
                    all += 1;
                    if at % 4 == 0 {
                        changed.notify_all();
                        notified = waiting;
                    } else {
                        changed.notify_one();
                        notified = (notified + 1).min(waiting);
                    }
                }
                _ => {}
            }
        }
        waits.retain(|(_, began)| began.is_some());
        let before = waits.len();
        for _ in 0..4 {
            waits.retain_mut(|(wait, _)| wait.poll(false).is_none());
        }
        assert!(before - waits.len() >= notified);
    }

    /// Three parties: one that is dropped while it waits has not arrived.
    #[test]
    fn a_barrier_lets_three_pass(calls in calls()) {
        let barrier = Barrier::new(3);
        let start = || wait_only(async { _ = barrier.wait_async().await.expect("not broken") });
        let mut waits: Vec<(Wait<'_>, Waits)> = Vec::new();
        for &call in &calls {
            match call {
                Call::Start(_) => waits.push((start(), Waits::New)),
                Call::Poll(at, always) if !waits.is_empty() => {
                    let at = at % waits.len();
                    let arrived = barrier.waiting();
                    let ready = waits[at].0.poll(always).is_some();
                    match waits[at].1 {
                        Waits::New if arrived == 2 => {
                            assert!(ready, "the third one opens it");
                            for (wait, state) in &mut waits {
                                if *state == Waits::Pending {
                                    assert!(wait.woken.0.load(Ordering::SeqCst));
                                    *state = Waits::Released;
                                }
                            }
                        }
                        Waits::New => waits[at].1 = Waits::Pending,
                        Waits::Pending => assert!(!ready),
                        Waits::Released => assert!(ready),
                    }
                    if ready {
                        drop(waits.remove(at));
                    }
                }
                Call::Drop(at) if !waits.is_empty() => drop(waits.remove(at % waits.len())),
                _ => {}
            }
            let pending = waits.iter().filter(|(_, state)| *state == Waits::Pending).count();
            assert_eq!(barrier.waiting() as usize, pending);
        }
    }

    /// However many makers are dropped: one value, one maker at a time, and all get the value.
    #[test]
    fn a_cell_has_one_maker_at_a_time(calls in calls()) {
        let (cell, makers, open) = (OnceLock::new(), AtomicUsize::new(0), AtomicBool::new(false));
        struct Maker<'a>(&'a AtomicUsize);
        impl Drop for Maker<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let start = || wait_only(async {
            let make = || async {
                assert_eq!(makers.fetch_add(1, Ordering::SeqCst), 0, "two make it at once");
                let _maker = Maker(&makers);
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if open.load(Ordering::SeqCst) { Poll::Ready(7) } else { Poll::Pending }
                })
                .await
            };
            assert_eq!(cell.get_or_init_async(make).await, &7);
        });
        let mut waits: Vec<Wait<'_>> = Vec::new();
        for &call in &calls {
            match call {
                Call::Start(_) => waits.push(start()),
                Call::Poll(at, always) if !waits.is_empty() => {
                    let at = at % waits.len();
                    assert!(waits[at].poll(always).is_none(), "it cannot be made yet");
                }
                Call::Drop(at) if !waits.is_empty() => drop(waits.remove(at % waits.len())),
                _ => {}
            }
        }
        open.store(true, Ordering::SeqCst);
        for _ in 0..waits.len() + 2 {
            waits.retain_mut(|wait| wait.poll(false).is_none());
        }
        assert!(waits.is_empty(), "{} tasks wait for a value that no task makes", waits.len());
    }
}
