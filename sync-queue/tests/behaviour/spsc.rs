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

#[test]
fn two_threads_lose_nothing() {
    let _watchdog = watch();
    for capacity in [1, 2, 100] {
        let (mut producer, mut consumer) = spsc(capacity);
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..20_000 {
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
            assert_eq!(next, 20_000);
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
