//! The end of a task's wait (`Waiter::stop`) against a wake: the wake chose the waiter, and `stop`
//! returns it to the caller, or the wake found no waiter.

use core::pin::pin;
use core::task::Waker;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::task::{Waiter, model_with_tasks};
use sync_core::primitive::futex::{self, Channel};

use super::{TOKEN, Tokens, WAITERS, gives, task_takes, thread_takes};
use crate::support::{Arc, Tracked, with};

/// Counts the calls of its waker.
struct Calls(std::sync::atomic::AtomicU32);

impl std::task::Wake for Calls {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Calls {
    fn new() -> (std::sync::Arc<Self>, Waker) {
        let calls = std::sync::Arc::new(Self(0.into()));
        (calls.clone(), Waker::from(calls))
    }

    fn count(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

model! {
    /// `stop` against a wake of one. Either the wake chose the waiter, and `stop` returns it with
    /// all that came before it, or the wake found no waiter, and no waker is called. Afterwards the
    /// waiter is the owner's: it starts again, on another word.
    fn a_stop_against_a_wake(order) {
        model_with_tasks();
        let words = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let (news, woken) = (Arc::new(Tracked::new(0)), Arc::new(Tracked::new(0)));
        let stopped = Arc::new(Tracked::new(0));
        let (calls, waker) = Calls::new();
        let stops = with(&(words.clone(), news.clone(), stopped.clone()), move |it| {
            let (words, news, stopped) = it;
            let waiter = pin!(Waiter::new());
            let waiter = waiter.as_ref();
            if waiter.start(&words[0], 0, Channel::ALL, &waker) && waiter.stop() {
                assert_eq!(news.get(), 1, "the wake came before this");
                stopped.set(1);
            }
            assert!(!waiter.is_waiting() && !waiter.stop(), "it is idle");
            assert!(waiter.start(&words[1], 0, Channel::ALL, &waker));
            assert!(waiter.is_waiting() && !waiter.stop());
        });
        let wakes = with(&(words.clone(), news, woken.clone()), |(words, news, woken)| {
            news.set(1);
            words[0].store(1, Ordering::Release);
            woken.set(futex::wake(&raw const words[0], 1) as u32);
        });
        order.run([stops, wakes]);
        assert_eq!(stopped.get(), woken.get(), "the wake was swallowed, or came twice");
        assert_eq!(calls.count(), woken.get());
        assert_eq!(futex::wake(&raw const words[0], 1), 0, "the table has no waiter left");
    }
}

model! {
    /// A wait that is stopped returns its wake, and the caller passes it on: a thread that sleeps
    /// gets the token.
    fn a_stopped_wait_returns_its_wake_for_a_thread(order) small {
        let shared = Tokens::new();
        let stops = with(&shared, stop_and_pass_on);
        order.run([stops, thread_takes(&shared), gives(&shared)]);
        assert_eq!(shared.word.load(Ordering::Relaxed) & TOKEN, 0);
    }
}

model! {
    /// The same with a task that sleeps.
    fn a_stopped_wait_returns_its_wake_for_a_task(order) small whole {
        let shared = Tokens::new();
        let stops = with(&shared, stop_and_pass_on);
        order.run([stops, task_takes(&shared), gives(&shared)]);
        assert_eq!(shared.word.load(Ordering::Relaxed) & TOKEN, 0);
    }
}

/// Announces a waiter and stops it. Passes a wake that it had consumed on, and takes no token.
fn stop_and_pass_on(tokens: Arc<Tokens>) {
    let waiter = pin!(Waiter::new());
    let waiter = waiter.as_ref();
    if tokens.attempt(false) {
        return tokens.give();
    }
    let started = waiter.start(&tokens.word, WAITERS, Channel::ALL, Waker::noop());
    if started && waiter.stop() {
        futex::wake_one(&raw const tokens.word);
    }
}
