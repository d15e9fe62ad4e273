//! `block_on` as an executor that may poll whenever it likes.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex as Plain};
use std::task::Waker;
use std::task::{Context, Poll};
use verify::future::block_on;
use verify::model::Builder;
use verify::sync::Mutex;
use verify::thread;

/// Whether it is set, and the waker to wake when it is.
#[derive(Default)]
struct Event(Mutex<(bool, Option<Waker>)>);

impl Event {
    fn set(&self) {
        let waker = {
            let mut event = self.0.lock().unwrap();
            event.0 = true;
            event.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_set_or_register(&self, cx: &mut Context<'_>) -> bool {
        let mut event = self.0.lock().unwrap();
        event.1 = Some(cx.waker().clone());
        event.0
    }
}

/// How often a future is polled that is woken once.
fn polls(spurious: u32) -> BTreeSet<usize> {
    let seen = Arc::new(Plain::new(BTreeSet::new()));
    let counts = seen.clone();
    let mut builder = Builder::new();
    builder.spurious_wakeups = spurious;
    builder.check(move || {
        let shared = Arc::new(Event::default());
        let theirs = shared.clone();
        let t = thread::spawn(move || theirs.set());
        let mut n = 0;
        block_on(poll_fn(|cx| {
            n += 1;
            if shared.is_set_or_register(cx) { Poll::Ready(()) } else { Poll::Pending }
        }));
        counts.lock().unwrap().insert(n);
        t.join().unwrap();
    });
    seen.lock().unwrap().clone()
}

#[test]
fn a_future_is_polled_without_having_been_woken_as_often_as_the_budget_says() {
    assert_eq!(polls(0), BTreeSet::from([1, 2]));
    assert_eq!(polls(1), BTreeSet::from([1, 2, 3]));
    assert_eq!(polls(2), BTreeSet::from([1, 2, 3, 4]));
}

/// The bug that only such a poll shows: the future takes a second poll for a wake-up.
#[test]
fn a_future_that_trusts_its_second_poll_is_found() {
    let failure = Builder::new()
        .explore(|| {
            let shared = Arc::new(Event::default());
            let theirs = shared.clone();
            thread::spawn(move || theirs.set());
            let mut polled = false;
            block_on(poll_fn(|cx| {
                if shared.is_set_or_register(cx) {
                    return Poll::Ready(());
                }
                assert!(!polled, "polled again with nothing to see");
                polled = true;
                Poll::Pending
            }));
        })
        .failure
        .expect("a spurious poll");
    assert!(failure.message.contains("polled again"), "{failure}");
}
