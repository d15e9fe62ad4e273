//! Tests of the promises of the module, on real threads.

use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::task::Waker;
use std::sync::Arc;
use std::task::Wake;
use std::thread;

use super::super::{Channel, requeue, wait, wake, wake_all, wake_channel, wake_one};
use super::Waiter;

/// Counts the calls of its waker.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Calls {
    fn new() -> (Arc<Self>, Waker) {
        let calls = Arc::new(Self::default());
        (Arc::clone(&calls), Waker::from(calls))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn start(waiter: Pin<&Waiter>, word: &AtomicU32, waker: &Waker) {
    let value = word.load(Ordering::SeqCst);
    assert!(waiter.start(word, value, Channel::ALL, waker));
}

#[test]
fn a_waiter_has_at_most_104_bytes() {
    assert!(size_of::<Waiter>() <= 104, "{}", size_of::<Waiter>());
}

#[test]
fn a_changed_word_registers_nothing() {
    let word = AtomicU32::new(1);
    let waiter = pin!(Waiter::new());
    let (calls, waker) = Calls::new();
    assert!(!waiter.as_ref().start(&word, 0, Channel::ALL, &waker));
    assert!(!waiter.is_waiting());
    assert_eq!(wake(&raw const word, 1), 0);
    assert_eq!(calls.count(), 0);
    drop(waker);
    assert_eq!(Arc::strong_count(&calls), 1, "the clone of the waker is gone");
}

#[test]
fn a_wake_of_one_wakes_the_oldest_and_a_wake_of_all_the_others() {
    let word = AtomicU32::new(0);
    let (calls, waker) = Calls::new();
    let waiters = [const { Waiter::new() }; 40];
    let waiters = pin!(waiters);
    let waiters = waiters.as_ref();
    // SAFETY: the parts of a pinned array are pinned.
    let at = |n: usize| unsafe { waiters.map_unchecked(|all| &all[n]) };
    (0..40).for_each(|n| start(at(n), &word, &waker));
    assert_eq!(wake(&raw const word, 1), 1);
    assert!(at(0).poll(&waker).is_ready() && at(1).poll(&waker).is_pending());
    assert_eq!(wake(&raw const word, 2), 2);
    assert!(!at(1).is_waiting() && !at(2).is_waiting() && at(3).is_waiting());
    assert_eq!(wake(&raw const word, u32::MAX), 37, "more than one batch");
    assert_eq!(calls.count(), 40);
    assert!((0..40).all(|n| at(n).poll(&waker).is_ready()));
}

#[test]
fn a_cancelled_waiter_is_not_woken_and_a_chosen_one_passes_the_wake_on() {
    let word = AtomicU32::new(0);
    let (calls, waker) = Calls::new();
    let second = pin!(Waiter::new());
    let third = pin!(Waiter::new());
    {
        let first = pin!(Waiter::new());
        start(first.as_ref(), &word, &waker);
        start(second.as_ref(), &word, &waker);
        start(third.as_ref(), &word, &waker);
        second.as_ref().cancel();
        wake_one(&raw const word);
        assert!(!first.is_waiting() && third.is_waiting());
        assert_eq!(calls.count(), 1);
    }
    assert!(!third.is_waiting(), "the first one was dropped with its wake");
    assert_eq!(calls.count(), 2);
    assert!(third.as_ref().stop(), "the wake is the caller's");
    assert!(!second.as_ref().stop());
    assert_eq!(wake(&raw const word, 1), 0);
}

#[test]
fn the_waker_of_the_last_poll_is_called() {
    let word = AtomicU32::new(0);
    let (before, old) = Calls::new();
    let (after, new) = Calls::new();
    let waiter = pin!(Waiter::new());
    start(waiter.as_ref(), &word, &old);
    assert!(waiter.as_ref().poll(&new).is_pending());
    drop(old);
    assert_eq!(Arc::strong_count(&before), 1, "the table keeps no old waker");
    wake_one(&raw const word);
    assert_eq!((before.count(), after.count()), (0, 1));
    assert!(waiter.as_ref().poll(&new).is_ready());
}

#[test]
fn channels_are_kept_apart_and_a_requeue_wakes_tasks() {
    let words = [const { AtomicU32::new(0) }; 2];
    let (calls, waker) = Calls::new();
    let waiter = pin!(Waiter::new());
    assert!(waiter.as_ref().start(&words[0], 0, Channel::new(1), &waker));
    assert_eq!(wake_channel(&raw const words[0], 1, Channel::new(0)), 0);
    assert!(waiter.is_waiting());
    assert_eq!(wake_channel(&raw const words[0], 1, Channel::new(1)), 1);
    start(waiter.as_ref(), &words[0], &waker);
    assert!(!requeue(&words[0], 1, 0, 1, &raw const words[1]), "the word is 0");
    assert!(waiter.is_waiting());
    assert!(requeue(&words[0], 0, 0, 1, &raw const words[1]));
    assert!(!waiter.is_waiting());
    assert_eq!(calls.count(), 2);
}

#[test]
fn a_waker_that_panics_harms_no_other() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let word = AtomicU32::new(0);
    let (calls, waker) = Calls::new();
    let first = pin!(Waiter::new());
    let second = pin!(Waiter::new());
    start(first.as_ref(), &word, &Waker::from(Arc::new(Panics)));
    start(second.as_ref(), &word, &waker);
    wake_all(&raw const word);
    assert_eq!(calls.count(), 1);
    assert!(!first.is_waiting() && !second.is_waiting());
}

#[test]
fn a_waker_may_wait_and_wake_on_the_same_word() {
    struct Again(Arc<AtomicU32>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            let waiter = pin!(Waiter::new());
            assert!(waiter.as_ref().start(&self.0, 0, Channel::ALL, Waker::noop()));
            wake_one(Arc::as_ptr(&self.0));
        }
    }
    let word = Arc::new(AtomicU32::new(0));
    let waiter = pin!(Waiter::new());
    start(waiter.as_ref(), &word, &Waker::from(Arc::new(Again(Arc::clone(&word)))));
    wake_all(Arc::as_ptr(&word));
    assert!(!waiter.is_waiting());
}

/// Tasks that wait again as soon as they are woken are woken once by a wake of all.
#[test]
fn a_task_that_waits_again_at_once_is_not_woken_twice_by_one_wake() {
    /// Starts its waiter again in the call of the waker.
    struct Again {
        word: AtomicU32,
        waiters: [Waiter; 40],
        woken: AtomicUsize,
    }
    struct One(Pin<Arc<Again>>, usize);
    // SAFETY: a waiter is used by one thread at a time: this test has one.
    unsafe impl Sync for One {}
    // SAFETY: this test uses its waiters on one thread.
    unsafe impl Send for One {}
    impl Wake for One {
        fn wake(self: Arc<Self>) {
            let One(all, n) = &*self;
            assert!(all.woken.fetch_add(1, Ordering::SeqCst) < 1_000, "the wake does not end");
            // SAFETY: the parts of a pinned array are pinned.
            let waiter = unsafe { Pin::new_unchecked(&all.waiters[*n]) };
            assert!(waiter.poll(Waker::noop()).is_ready(), "it was chosen");
            let waker = Waker::from(Arc::clone(&self));
            assert!(waiter.start(&all.word, 0, Channel::ALL, &waker));
        }
    }
    let all = Arc::pin(Again {
        word: AtomicU32::new(0),
        waiters: [const { Waiter::new() }; 40],
        woken: AtomicUsize::new(0),
    });
    for n in 0..40 {
        // SAFETY: the parts of a pinned array are pinned.
        let waiter = unsafe { Pin::new_unchecked(&all.waiters[n]) };
        let waker = Waker::from(Arc::new(One(Pin::clone(&all), n)));
        assert!(waiter.start(&all.word, 0, Channel::ALL, &waker));
    }
    for rounds in 1..=3 {
        assert_eq!(wake(&raw const all.word, u32::MAX), 40);
        assert_eq!(all.woken.load(Ordering::SeqCst), rounds * 40);
    }
    for waiter in &all.waiters {
        // SAFETY: the parts of a pinned array are pinned. The wakers hold the array, and go with
        // this.
        unsafe { Pin::new_unchecked(waiter) }.cancel();
    }
}

/// Waits until `done`, and keeps trying: for conditions that another thread brings about.
fn until(mut done: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(started.elapsed() < core::time::Duration::from_secs(60), "not so after a minute");
        thread::yield_now();
    }
}

/// One thread and tasks wait on one word. Each wake of one goes to one of them, and the kinds take
/// turns.
#[test]
fn threads_and_tasks_take_turns() {
    let word = Arc::new(AtomicU32::new(0));
    let awake = Arc::new(AtomicUsize::new(0));
    let sleeper = {
        let (word, awake) = (Arc::clone(&word), Arc::clone(&awake));
        thread::spawn(move || {
            while word.load(Ordering::SeqCst) == 0 {
                wait(&word, 0);
                awake.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let (calls, waker) = Calls::new();
    for turn in 0..20 {
        // A wake that reaches no task reached the thread, so the thread slept, and sleeps again
        // after a while. Without the thread the task would be woken at once.
        let waiter = pin!(Waiter::new());
        start(waiter.as_ref(), &word, &waker);
        let before = awake.load(Ordering::SeqCst);
        let mut wakes = 0;
        while waiter.is_waiting() {
            assert_eq!(wake(Arc::as_ptr(&word), 1), 1, "a wake of one wakes exactly one");
            wakes += 1;
        }
        assert!(wakes <= 2, "a task was passed over {} times", wakes - 1);
        if wakes == 2 {
            until(|| awake.load(Ordering::SeqCst) > before);
        }
        assert_eq!(calls.count(), turn + 1);
        assert!(waiter.as_ref().poll(&waker).is_ready());
    }
    word.store(1, Ordering::SeqCst);
    until(|| {
        wake_one(Arc::as_ptr(&word));
        sleeper.is_finished()
    });
    sleeper.join().unwrap();
}

/// With threads that always sleep, a wake of one goes to a thread and to the first task in turn;
/// where none slept, the tasks in the line go first from then on.
#[test]
fn a_task_is_passed_over_at_most_once() {
    let word = AtomicU32::new(0);
    let address = (&raw const word).addr();
    let (_calls, waker) = Calls::new();
    let first = pin!(Waiter::new());
    let second = pin!(Waiter::new());
    start(first.as_ref(), &word, &waker);
    start(second.as_ref(), &word, &waker);
    let threads = AtomicUsize::new(0);
    // Returns whether a thread was looked for.
    let wake_with = |asleep: usize| {
        let before = threads.load(Ordering::SeqCst);
        let bucket = super::waiting_at(address).expect("tasks wait");
        let woken = bucket.share(address, 1, Channel::ALL, true, |count| {
            threads.fetch_add(1, Ordering::SeqCst);
            asleep.min(count as usize)
        });
        assert_eq!(woken, 1);
        threads.load(Ordering::SeqCst) != before
    };
    assert!(wake_with(9) && first.is_waiting(), "a thread goes first");
    assert!(!wake_with(9) && !first.is_waiting(), "the task was passed over once");
    assert!(wake_with(9) && second.is_waiting(), "a thread again");
    assert!(first.as_ref().poll(&waker).is_ready(), "it uses its wake");
    start(first.as_ref(), &word, &waker);
    assert!(!wake_with(9) && !second.is_waiting() && first.is_waiting());
    assert!(second.as_ref().poll(&waker).is_ready());
    start(second.as_ref(), &word, &waker);
    assert!(wake_with(0) && !first.is_waiting(), "no thread slept");
    assert!(!wake_with(9) && !second.is_waiting(), "it came before every thread that sleeps now");
}

/// A count that stayed would make every later release of the bucket's words take its lock. The
/// other tests count in the same table, but not for long.
#[test]
fn a_wait_that_ended_in_any_way_is_not_counted() {
    let word = AtomicU32::new(0);
    let waiter = pin!(Waiter::new());
    let (_, waker) = Calls::new();
    let not_counted = || until(|| super::waiting_at(core::ptr::from_ref(&word).addr()).is_none());
    assert!(!waiter.as_ref().start(&word, 1, Channel::ALL, &waker));
    not_counted();
    start(waiter.as_ref(), &word, &waker);
    assert!(!waiter.as_ref().stop());
    not_counted();
    start(waiter.as_ref(), &word, &waker);
    wake_one(&raw const word);
    not_counted();
    assert!(waiter.as_ref().stop(), "it has the wake");
    not_counted();
    start(waiter.as_ref(), &word, &waker);
    waiter.as_ref().cancel();
    not_counted();
}
