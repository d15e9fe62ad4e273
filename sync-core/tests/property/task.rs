//! Tasks that start, are polled and are dropped at random, against naive oracles: at the end every
//! task that stays has what it waited for, and nothing is lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use sync_core::{AutoResetEvent, FairMutex, Mutex, RwLock, Semaphore};

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
