//! Producers and consumers on condition variables; every item is taken once.

use std::thread;
use std::time::Duration;

use sync_core::{Condvar, Mutex};

use crate::watchdog::{note, watch};

#[derive(Default)]
struct Buffer {
    items: Mutex<(Vec<u32>, bool)>,
    not_empty: Condvar,
    not_full: Condvar,
}

#[test]
fn a_bounded_buffer_loses_and_doubles_nothing() {
    const ITEMS: u32 = 20_000;
    const PRODUCERS: u32 = 4;
    let _watch = watch();
    let buffer = Buffer::default();
    let taken = Mutex::new(vec![0_u8; (ITEMS * PRODUCERS) as usize]);
    thread::scope(|scope| {
        for consumer in 0..4 {
            let (buffer, taken) = (&buffer, &taken);
            scope.spawn(move || {
                loop {
                    note("consumer waits");
                    let mut items = buffer.items.lock();
                    while items.0.is_empty() && !items.1 {
                        if consumer % 2 == 0 {
                            buffer.not_empty.wait(&mut items);
                        } else {
                            // A timeout that is often up: it must not take a notification along.
                            let _ =
                                buffer.not_empty.wait_for(&mut items, Duration::from_micros(50));
                        }
                    }
                    let Some(item) = items.0.pop() else { return };
                    drop(items);
                    buffer.not_full.notify_one();
                    taken.lock()[item as usize] += 1;
                }
            });
        }
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let buffer = &buffer;
                scope.spawn(move || {
                    for item in 0..ITEMS {
                        note(format!("producer at {item}"));
                        let mut items = buffer.items.lock();
                        buffer.not_full.wait_while(&mut items, |items| items.0.len() >= 4);
                        items.0.push(producer * ITEMS + item);
                        drop(items);
                        buffer.not_empty.notify_one();
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        buffer.items.lock().1 = true;
        buffer.not_empty.notify_all();
    });
    assert!(taken.lock().iter().all(|&times| times == 1));
}
