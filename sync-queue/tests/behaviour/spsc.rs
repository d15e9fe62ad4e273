//! `spsc`.

use std::thread;

use sync_queue::spsc;

use crate::support::Drops;
use crate::watchdog::watch;

#[test]
fn keeps_the_order_and_the_capacity() {
    let (mut producer, mut consumer) = spsc(3);
    assert_eq!((producer.capacity(), consumer.capacity()), (3, 3));
    for round in 0..10 {
        assert!(consumer.is_empty() && !producer.is_full());
        for n in 0..3 {
            producer.try_put(round * 10 + n).unwrap();
        }
        assert!(producer.is_full() && !consumer.is_empty());
        assert_eq!(producer.try_put(99), Err(99));
        for n in 0..3 {
            assert_eq!(consumer.try_get(), Some(round * 10 + n));
        }
        assert_eq!(consumer.try_get(), None);
    }
}

/// With little room each item is a switch of threads, which takes long on a busy machine.
fn items_through(capacity: usize) -> usize {
    if capacity < 10 { 1_000 } else { 20_000 }
}

#[test]
fn two_threads_lose_nothing() {
    let _watchdog = watch();
    for capacity in [1, 2, 100] {
        let items = items_through(capacity);
        let (mut producer, mut consumer) = spsc(capacity);
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..items {
                    while producer.try_put(n).is_err() {
                        thread::yield_now();
                    }
                }
            });
            let mut next = 0;
            loop {
                let over = consumer.is_abandoned();
                match consumer.try_get() {
                    Some(n) => {
                        assert_eq!(n, next);
                        next += 1;
                    }
                    None if over => break,
                    None => thread::yield_now(),
                }
            }
            assert_eq!(next, items);
        });
    }
}

#[test]
fn drops_what_is_left() {
    let drops = Drops::default();
    let (mut producer, mut consumer) = spsc(4);
    for _ in 0..4 {
        producer.try_put(drops.item()).unwrap();
    }
    drop(consumer.try_get());
    assert!(!consumer.is_abandoned());
    drop(producer);
    assert!(consumer.is_abandoned());
    assert_eq!(drops.count(), 1);
    drop(consumer);
    assert_eq!(drops.count(), 4);
    assert!(std::panic::catch_unwind(|| spsc::<u8>(0)).is_err());
}

#[test]
fn a_chunk_is_what_there_is_room_for_or_what_is_inside() {
    for capacity in 1..5 {
        let (mut producer, mut consumer) = spsc(capacity);
        let mut items = 0..20_usize;
        let mut got = Vec::new();
        for round in 0.. {
            let left = items.len();
            let put = producer.try_put_many(&mut items);
            assert_eq!(put, left.min(capacity), "nothing is inside");
            assert_eq!((items.len(), consumer.len()), (left - put, put));
            let next = got.len();
            assert_eq!(consumer.peek().copied(), (put > 0).then_some(next));
            assert_eq!(consumer.try_get_many(&mut got, 0), 0);
            let first = consumer.try_get_many(&mut got, round % 3);
            assert_eq!(first, put.min(round % 3));
            assert_eq!(consumer.try_get_many(&mut got, 99), put - first);
            if put == 0 {
                break;
            }
        }
        assert_eq!(got, (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn chunks_between_two_threads_lose_nothing() {
    let _watchdog = watch();
    for capacity in [1, 3, 64] {
        let count = items_through(capacity);
        let (mut producer, mut consumer) = spsc(capacity);
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut items = 0..count;
                while !items.is_empty() {
                    if producer.try_put_many(&mut items) == 0 {
                        thread::yield_now();
                    }
                }
            });
            let mut got = Vec::new();
            while got.len() < count {
                if let Some(item) = consumer.peek() {
                    assert_eq!(*item, got.len());
                }
                if consumer.try_get_many(&mut got, 7) == 0 {
                    thread::yield_now();
                }
            }
            assert!(got.into_iter().eq(0..count));
        });
    }
}

#[test]
fn an_iterator_that_panics_leaves_the_items_before_it_inside() {
    let drops = Drops::default();
    let (mut producer, mut consumer) = spsc(4);
    let mut items = (0..4).map(|n| match n {
        2 => std::panic::resume_unwind(Box::new("no item")),
        _ => drops.item(),
    });
    let panics = std::panic::AssertUnwindSafe(|| producer.try_put_many(&mut items));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!((consumer.len(), drops.count()), (2, 0));
    drop(consumer.try_get());
    drop((producer, consumer));
    assert_eq!(drops.count(), 2);
}
