//! The models of the gaps, above `checker`, which has loom's paths.

use std::sync::Arc;
use std::sync::Mutex as Plain;

use super::checker::cell::UnsafeCell;
use super::checker::sync::atomic::{AtomicUsize, Ordering::*, fence};
use super::checker::sync::{Condvar, Mutex};
use super::checker::thread;

/// Two locations.
fn xy() -> Arc<[AtomicUsize; 2]> {
    Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)])
}

/// Runs both closures in threads of their own, in this order, and gives what they return.
fn both<T: Send + 'static, U: Send + 'static>(
    one: impl FnOnce() -> T + Send + 'static,
    other: impl FnOnce() -> U + Send + 'static,
) -> (T, U) {
    let (one, other) = (thread::spawn(one), thread::spawn(other));
    (one.join().expect("no panic"), other.join().expect("no panic"))
}

pub(crate) fn a_load_may_read_the_store_behind_another_load() {
    let (one, other) = pair();
    let (read, _) = both(
        move || one[0].load(Relaxed),
        move || {
            other[0].load(Relaxed);
            other[0].store(1, Relaxed);
        },
    );
    assert_ne!(read, 1, "the first thread read 1");
}

struct Ring {
    slot: UnsafeCell<usize>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

// SAFETY: head and tail give the slot to one side at a time, or the checker says so.
unsafe impl Sync for Ring {}
// SAFETY: head and tail give the slot to one side at a time, or the checker says so.
unsafe impl Send for Ring {}

/// A ring of capacity one whose consumer, spawned first, gives the slot back with a relaxed store.
pub(crate) fn ring_slot_given_back_relaxed() {
    let ring =
        Ring { slot: UnsafeCell::new(0), head: AtomicUsize::new(0), tail: AtomicUsize::new(0) };
    let consumer = Arc::new(ring);
    let producer = consumer.clone();
    both(
        move || {
            for _ in 0..2 {
                let head = consumer.head.load(Relaxed);
                if consumer.tail.load(Acquire) != head {
                    // SAFETY: the slot is full.
                    consumer.slot.with(|slot| unsafe { *slot });
                    consumer.head.store(head + 1, Relaxed);
                }
            }
        },
        move || {
            for value in 1..=2 {
                let tail = producer.tail.load(Relaxed);
                if producer.head.load(Acquire) != tail {
                    return;
                }
                // SAFETY: the slot is empty.
                producer.slot.with_mut(|slot| unsafe { *slot = value });
                producer.tail.store(tail + 1, Release);
            }
        },
    );
}

/// A control: what loom does find.
pub(crate) fn lost_update() {
    let shared = xy();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || shared[0].store(shared[0].load(Relaxed) + 1, Relaxed))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(shared[0].load(Relaxed), 2, "two increments ended with 1");
}

pub(crate) fn store_buffering_seq_cst() {
    let (one, other) = pair();
    let read = both(
        move || {
            one[0].store(1, SeqCst);
            one[1].load(SeqCst)
        },
        move || {
            other[1].store(1, SeqCst);
            other[0].load(SeqCst)
        },
    );
    assert_ne!(read, (0, 0), "both missed the other's store");
}

/// The same two locations, twice.
fn pair() -> (Arc<[AtomicUsize; 2]>, Arc<[AtomicUsize; 2]>) {
    let one = xy();
    (one.clone(), one)
}

pub(crate) fn store_buffering_seq_cst_against_a_fence() {
    let (one, other) = pair();
    let read = both(
        move || {
            one[0].store(1, SeqCst);
            one[1].load(SeqCst)
        },
        move || {
            other[1].store(1, Relaxed);
            fence(SeqCst);
            other[0].load(Relaxed)
        },
    );
    assert_ne!(read, (0, 0), "both missed the other's store");
}

pub(crate) fn independent_reads_seq_cst() {
    let (one, other) = pair();
    let (writer, writer_too) = (one.clone(), one.clone());
    thread::spawn(move || writer[0].store(1, SeqCst));
    thread::spawn(move || writer_too[1].store(1, SeqCst));
    let read = both(
        move || (one[0].load(SeqCst), one[1].load(SeqCst)),
        move || (other[1].load(SeqCst), other[0].load(SeqCst)),
    );
    assert_ne!(read, ((1, 0), (1, 0)), "the readers disagree about which store was first");
}

pub(crate) fn peterson_seq_cst() {
    let (flags, _) = pair();
    let turn = Arc::new(AtomicUsize::new(0));
    let inside = Arc::new(Plain::new(0));
    let enter = move |me: usize| {
        let (flags, turn, inside) = (flags.clone(), turn.clone(), inside.clone());
        move || {
            flags[me].store(1, SeqCst);
            turn.store(1 - me, SeqCst);
            // One attempt; who gets in stays in.
            if flags[1 - me].load(SeqCst) == 0 || turn.load(SeqCst) == me {
                let mut inside = inside.lock().expect("no panic while it is held");
                *inside += 1;
                assert!(*inside < 2, "both are in");
            }
        }
    };
    both(enter(0), enter(1));
}

pub(crate) fn a_swap_is_not_overtaken_by_the_store_it_did_not_read() {
    let (one, other) = pair();
    let (read, before) = both(
        move || {
            one[0].store(1, Relaxed);
            one[0].load(Relaxed)
        },
        move || other[0].swap(2, Relaxed),
    );
    assert_ne!((read, before), (2, 0), "a thread's own store was overtaken by an earlier swap");
}

pub(crate) fn an_increment_is_not_overtaken_by_the_store_it_did_not_read() {
    let (one, other) = pair();
    let (read, before) = both(
        move || {
            one[0].store(5, Relaxed);
            one[0].load(Relaxed)
        },
        move || other[0].fetch_add(1, Relaxed),
    );
    assert_ne!(
        (read, before),
        (1, 0),
        "a thread's own store was overtaken by an earlier increment"
    );
}

pub(crate) fn readers_agree_with_an_exchange() {
    let (one, other) = pair();
    let exchanger = one.clone();
    let exchange = thread::spawn(move || exchanger[0].compare_exchange(0, 2, Relaxed, Relaxed));
    let (_, read) = both(
        move || one[0].store(1, Relaxed),
        move || (other[0].load(Relaxed), other[0].load(Relaxed)),
    );
    // An exchange that has read 0 comes right behind it, so before the 1.
    if exchange.join().expect("no panic").is_ok() {
        assert_ne!(read, (1, 2), "a reader went back from 1 to 2");
    }
}

pub(crate) fn a_failing_exchange_reads_a_stale_value() {
    let (one, other) = pair();
    let (_, (flag, exchanged)) = both(
        move || {
            one[0].store(1, Relaxed);
            one[1].store(1, Relaxed);
        },
        move || (other[1].load(Relaxed), other[0].compare_exchange(7, 8, Relaxed, Relaxed)),
    );
    assert_ne!((flag, exchanged), (1, Err(0)), "a stale value");
}

pub(crate) fn a_weak_exchange_fails_spuriously() {
    let shared = AtomicUsize::new(0);
    assert_eq!(shared.compare_exchange_weak(0, 1, Relaxed, Relaxed), Ok(0), "a spurious failure");
}

pub(crate) fn an_old_value_may_still_be_read() {
    let (one, other) = pair();
    let (_, read) = both(
        move || {
            (1..=8).for_each(|value| one[0].store(value, Relaxed));
            one[1].store(1, Relaxed);
        },
        move || (other[1].load(Relaxed), other[0].load(Relaxed)),
    );
    assert_ne!(read, (1, 0), "the value of eight stores ago is too old");
}

/// The state that two waiters and a notifier share: a thread that arrives takes a number, a thread
/// that leaves takes a token.
#[derive(Default)]
struct Office {
    arrived: usize,
    tokens: usize,
    left: Vec<usize>,
}

pub(crate) fn a_condvar_wakes_any_of_its_waiters() {
    let shared = Arc::new((Mutex::new(Office::default()), Condvar::new(), Condvar::new()));
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (office, token, left) = &*shared;
                let mut office = office.lock().expect("no panic");
                let number = office.arrived;
                office.arrived += 1;
                while office.tokens == 0 {
                    office = token.wait(office).expect("no panic");
                }
                office.tokens -= 1;
                office.left.push(number);
                left.notify_one();
            })
        })
        .collect();
    let (office, token, left) = &*shared;
    let mut state = office.lock().expect("no panic");
    if state.arrived == 2 {
        // Both are asleep: one notification, and the other waiter only when that one has left.
        state.tokens = 1;
        token.notify_one();
        while state.left.is_empty() {
            state = left.wait(state).expect("no panic");
        }
        assert_eq!(state.left, [0], "the second waiter was woken first");
        state.tokens = 1;
    } else {
        state.tokens = 2;
    }
    drop(state);
    token.notify_all();
    waiters.into_iter().for_each(|waiter| waiter.join().expect("no panic"));
}

pub(crate) fn a_condvar_wakes_spuriously() {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let notifier = shared.clone();
    both(
        move || {
            let mut ready = shared.0.lock().expect("no panic");
            if !*ready {
                ready = shared.1.wait(ready).expect("no panic");
            }
            assert!(*ready, "a spurious wake-up");
        },
        move || {
            *notifier.0.lock().expect("no panic") = true;
            notifier.1.notify_one();
        },
    );
}

pub(crate) fn park_returns_spuriously() {
    let ready = Arc::new(AtomicUsize::new(0));
    let unparker = ready.clone();
    let parked = thread::spawn(move || {
        thread::park();
        assert_eq!(ready.load(Acquire), 1, "a spurious return");
    });
    unparker.store(1, Release);
    parked.thread().unpark();
    parked.join().expect("no panic");
}

/// Whether the waiter is there, whether it may go.
struct Noted {
    state: Mutex<(bool, bool)>,
    condvar: Condvar,
    data: UnsafeCell<usize>,
}

// SAFETY: exclusive access is what the model checks.
unsafe impl Sync for Noted {}
// SAFETY: exclusive access is what the model checks.
unsafe impl Send for Noted {}

/// The notifier writes after it has unlocked, then only notifies.
pub(crate) fn a_notification_is_no_synchronisation() {
    let shared = Arc::new(Noted {
        state: Mutex::new((false, false)),
        condvar: Condvar::new(),
        data: UnsafeCell::new(0),
    });
    let notifier = shared.clone();
    both(
        move || {
            let mut state = shared.state.lock().expect("no panic");
            state.0 = true;
            let mut waited = false;
            while !state.1 {
                state = shared.condvar.wait(state).expect("no panic");
                waited = true;
            }
            if waited {
                // SAFETY: the wake-up proves that the notifier has written it, one might think.
                shared.data.with(|data| unsafe { *data });
            }
        },
        move || {
            let mut state = notifier.state.lock().expect("no panic");
            let waited_for = state.0;
            state.1 = true;
            drop(state);
            if waited_for {
                // SAFETY: written before the wake-up, as one might think.
                notifier.data.with_mut(|data| unsafe { *data = 1 });
            }
            notifier.condvar.notify_one();
        },
    );
}

pub(crate) fn a_wait_without_notification_times_out() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let guard = mutex.lock().expect("no panic");
    let second = std::time::Duration::from_secs(1);
    let _ = condvar.wait_timeout(guard, second).expect("no panic");
}

pub(crate) fn a_condvar_leaves_the_token_of_park_alone() {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let notifier = shared.clone();
    let waiter = thread::spawn(move || {
        let mut ready = shared.0.lock().expect("no panic");
        while !*ready {
            ready = shared.1.wait(ready).expect("no panic");
        }
        drop(ready);
        thread::park();
    });
    waiter.thread().unpark();
    *notifier.0.lock().expect("no panic") = true;
    notifier.1.notify_one();
    waiter.join().expect("no panic");
}

pub(crate) fn six_threads() {
    let shared = Arc::new(AtomicUsize::new(0));
    for _ in 0..5 {
        let shared = shared.clone();
        thread::spawn(move || shared.load(Relaxed));
    }
}
