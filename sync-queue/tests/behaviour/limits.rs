//! Ends of numbers: capacities that no memory holds, items that no stack holds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use sync_queue::{LifoQueue, PriorityQueue, Queue, SimpleQueue, channel, spsc};

use crate::watchdog::watch;

/// The text of the panic of `f`.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(f()))).expect_err("it did not panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn a_capacity_beyond_all_memory_is_a_panic_that_names_it() {
    let half = 1 << (usize::BITS - 1);
    // With 32 bits, memory for an eighth of that may be there.
    let small = if usize::BITS == 64 { half >> 5 } else { half >> 1 };
    for capacity in [usize::MAX, usize::MAX / 2, half + 1, half >> 1, small] {
        for text in [
            panic_of(|| Queue::<u64>::bounded(capacity)),
            panic_of(|| Queue::<()>::with_maxsize(capacity)),
            panic_of(|| channel::bounded::<u8>(capacity)),
            panic_of(|| spsc::<[u8; 64]>(capacity)),
        ] {
            assert!(text.starts_with("no memory for a queue of "), "{text}");
        }
    }
    for capacity in [usize::MAX, half + 1] {
        // Rounded up to a power of two there is no such number, whatever the items.
        assert!(panic_of(|| spsc::<()>(capacity)).contains("no memory"));
    }
}

#[test]
fn a_locked_queue_takes_any_capacity() {
    for capacity in [usize::MAX, usize::MAX >> 20] {
        let (lifo, priority) = (LifoQueue::bounded(capacity), PriorityQueue::bounded(capacity));
        for n in 0..3 {
            lifo.put(n).unwrap();
            priority.put(n).unwrap();
        }
        assert!(!lifo.is_full() && !priority.is_full());
        assert!(lifo.try_iter().eq([2, 1, 0]) && priority.try_iter().eq([0, 1, 2]));
    }
}

#[test]
fn an_spsc_queue_of_nothing_holds_any_number_of_it() {
    let many = usize::MAX.div_ceil(1 << 8);
    let (mut producer, mut consumer) = spsc::<()>(many);
    assert_eq!(producer.capacity(), many);
    for _ in 0..1_000 {
        producer.try_put(()).unwrap();
    }
    assert_eq!((0..).take_while(|_| consumer.try_get().is_some()).count(), 1_000);
}

struct Item<const N: usize>([u8; N]);

/// Puts and gets items of `N` bytes, in a thread with the stack that threads have, and in the build
/// that tests have: without optimisation an item is copied in every call.
fn in_and_out<const N: usize, Q: 'static>(
    make: fn() -> Q,
    put: fn(&Q, Item<N>) -> bool,
    get: fn(&Q) -> Option<Item<N>>,
) {
    let body = move || {
        let queue = make();
        for _ in 0..3 {
            assert!(put(&queue, Item([7; N])));
        }
        assert!(get(&queue).is_some_and(|item| item.0[N - 1] == 7));
        // The others are dropped with their queue.
    };
    thread::Builder::new().stack_size(2 << 20).spawn(body).unwrap().join().unwrap();
}

fn every_queue<const N: usize>() {
    in_and_out::<N, _>(Queue::unbounded, |q, item| q.put(item).is_ok(), |q| q.get().ok());
    in_and_out::<N, _>(|| Queue::bounded(3), |q, item| q.put(item).is_ok(), |q| q.get().ok());
    in_and_out::<N, _>(
        SimpleQueue::new,
        |q, item| {
            q.put(item);
            true
        },
        |q| q.try_get(),
    );
    in_and_out::<N, _>(channel::unbounded, |q, item| q.0.send(item).is_ok(), |q| q.1.recv().ok());
}

#[test]
fn large_items_do_not_overflow_the_stack() {
    let _watchdog = watch();
    every_queue::<8_192>();
    every_queue::<32_768>();
}

#[test]
fn all_receivers_of_never_are_of_the_same_channel() {
    assert!(channel::never::<u8>().same_channel(&channel::never()));
    let (_sender, other) = channel::bounded::<u8>(1);
    assert!(!channel::never().same_channel(&other));
    assert!(other.same_channel(&other.clone()));
}

#[test]
fn each_end_of_a_channel_knows_whether_the_other_side_is_gone() {
    for (sender, receiver) in [channel::unbounded(), channel::bounded(1)] {
        let second = sender.clone();
        assert!(!sender.is_disconnected() && !receiver.is_disconnected());
        drop(sender);
        assert!(!receiver.is_disconnected());
        second.send(1).unwrap();
        drop(second);
        assert!(receiver.is_disconnected(), "also while an item is inside");
        assert_eq!(receiver.recv(), Ok(1));
    }
    let (sender, receiver) = channel::bounded::<u8>(0);
    drop(receiver);
    assert!(sender.is_disconnected());
    assert!(!channel::never::<u8>().is_disconnected());
}
