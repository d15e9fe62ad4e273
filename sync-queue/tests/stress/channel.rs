//! `channel` among threads that come and go.

use std::thread;
use std::time::Duration;

use sync_queue::channel::{self, Receiver, RecvTimeoutError, SendTimeoutError, Sender};

use crate::items;
use crate::watchdog::{note, watch};

fn ends(capacity: Option<usize>) -> (Sender<usize>, Receiver<usize>) {
    capacity.map_or_else(channel::unbounded, channel::bounded)
}

/// The receivers learn of the end by the senders' going.
fn transfer(capacity: Option<usize>, senders: usize, receivers: usize) {
    let items = items(capacity);
    let (sender, receiver) = ends(capacity);
    let got: Vec<Vec<usize>> = thread::scope(|scope| {
        let receivers: Vec<_> = (0..receivers)
            .map(|number| {
                let receiver = receiver.clone();
                scope.spawn(move || {
                    let mut got = Vec::new();
                    if number > 0 {
                        return receiver.iter().collect();
                    }
                    loop {
                        match receiver.recv_timeout(Duration::from_micros(20)) {
                            Ok(item) => got.push(item),
                            Err(RecvTimeoutError::Timeout) => {}
                            Err(RecvTimeoutError::Disconnected) => return got,
                        }
                    }
                })
            })
            .collect();
        for number in 0..senders {
            let sender = sender.clone();
            scope.spawn(move || {
                for n in (number..items).step_by(senders) {
                    let mut item = n;
                    if number > 0 {
                        sender.send(item).unwrap();
                        continue;
                    }
                    loop {
                        match sender.send_timeout(item, Duration::from_micros(20)) {
                            Ok(()) => break,
                            Err(SendTimeoutError::Timeout(back)) => item = back,
                            Err(SendTimeoutError::Disconnected(_)) => {
                                panic!("the receivers stay to the end")
                            }
                        }
                    }
                }
            });
        }
        drop((sender, receiver));
        receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect()
    });
    let mut all = got.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..items));
}

#[test]
fn nothing_is_lost_or_doubled() {
    let _watchdog = watch();
    for capacity in [Some(0), Some(1), Some(7), None] {
        for (senders, receivers) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
            note(format!("{capacity:?}: {senders} senders, {receivers} receivers"));
            transfer(capacity, senders, receivers);
        }
    }
}

/// Receivers go in the middle: every item is received, or comes back, or is dropped with the
/// channel.
#[test]
fn receivers_go_in_the_middle() {
    let _watchdog = watch();
    for capacity in [Some(0), Some(1), Some(7), None] {
        note(format!("{capacity:?}"));
        for round in 0..60 {
            let (sender, receiver) = capacity.map_or_else(channel::unbounded, channel::bounded);
            let item = std::sync::Arc::new(());
            thread::scope(|scope| {
                for _ in 0..2 {
                    let (sender, item) = (sender.clone(), item.clone());
                    scope.spawn(move || while sender.send(item.clone()).is_ok() {});
                }
                scope.spawn(move || (0..round).for_each(|_| drop(receiver.recv())));
                drop(sender);
            });
            assert_eq!(std::sync::Arc::strong_count(&item), 1);
        }
    }
}
