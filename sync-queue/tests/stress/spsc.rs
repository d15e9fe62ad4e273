//! `spsc` between two threads, as fast as they can, with items that own memory.

use std::thread;

use sync_queue::spsc;

use crate::items;
use crate::watchdog::{note, watch};

#[test]
fn nothing_is_lost_or_doubled() {
    let _watchdog = watch();
    for capacity in [1, 2, 3, 64, 1024] {
        note(format!("room for {capacity}"));
        let items = items(Some(capacity));
        let (mut producer, mut consumer) = spsc(capacity);
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..items {
                    let mut item = Box::new(n);
                    while let Err(back) = producer.try_put(item) {
                        assert!(!producer.is_abandoned(), "the consumer stays to the end");
                        item = back;
                        thread::yield_now();
                    }
                }
            });
            let mut next = 0;
            while next < items {
                match consumer.try_get() {
                    Some(item) => {
                        assert_eq!(*item, next);
                        next += 1;
                    }
                    None => thread::yield_now(),
                }
            }
            while !consumer.is_abandoned() {
                thread::yield_now();
            }
            assert!(consumer.is_empty());
        });
    }
}

#[test]
fn either_side_may_go_at_any_time() {
    let _watchdog = watch();
    for round in 0..300 {
        let (mut producer, mut consumer) = spsc(4);
        let item = std::sync::Arc::new(());
        thread::scope(|scope| {
            let held = item.clone();
            scope.spawn(move || {
                for _ in 0..round {
                    if producer.try_put(held.clone()).is_err() && producer.is_abandoned() {
                        break;
                    }
                }
            });
            for _ in 0..round / 2 {
                drop(consumer.try_get());
            }
            drop(consumer);
        });
        assert_eq!(std::sync::Arc::strong_count(&item), 1, "what was inside was dropped");
    }
}
