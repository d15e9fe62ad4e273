//! The channel facade: what is its own.

use std::thread;
use std::time::{Duration, Instant};

use sync_queue::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, after,
    at, bounded, never, tick, unbounded,
};

use crate::support::{A_MOMENT, Drops, LONG};
use crate::watchdog::watch;

#[test]
fn disconnects_when_one_side_is_gone() {
    for (sender, receiver) in [bounded(2), unbounded()] {
        let other = sender.clone();
        assert!(sender.same_channel(&other));
        sender.send(1).unwrap();
        drop(sender);
        other.send(2).unwrap();
        drop(other);
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [2]);
        assert_eq!(receiver.recv(), Err(RecvError));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    }
    let (sender, receiver) = bounded(1);
    let other = receiver.clone();
    drop(receiver);
    sender.send(1).unwrap();
    drop(other);
    assert_eq!(sender.send(2), Err(SendError(2)));
    assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
    assert_eq!(sender.send_timeout(2, LONG), Err(SendTimeoutError::Disconnected(2)));
}

#[test]
fn the_last_receiver_takes_what_is_inside_with_it() {
    let drops = Drops::default();
    let (sender, receiver) = unbounded();
    sender.send(drops.item()).unwrap();
    drop(receiver);
    assert_eq!(drops.count(), 1);
    drop(sender.send(drops.item()));
    assert_eq!(drops.count(), 2);
}

#[test]
fn full_and_empty() {
    let (sender, receiver) = bounded(1);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    sender.try_send(1).unwrap();
    assert!(sender.is_full() && receiver.len() == 1 && receiver.capacity() == Some(1));
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(sender.send_deadline(2, Instant::now()), Err(SendTimeoutError::Timeout(2)));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_meeting_ends_when_the_item_was_taken() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(0);
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.send_timeout(1, Duration::from_millis(1)), Err(SendTimeoutError::Timeout(1)));
    assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    thread::scope(|scope| {
        let sends = scope.spawn(|| sender.send(1));
        thread::sleep(A_MOMENT);
        assert!(!sends.is_finished());
        assert_eq!(receiver.try_recv(), Ok(1));
        sends.join().unwrap().unwrap();
        let receives = scope.spawn(|| receiver.recv());
        while sender.try_send(2).is_err() {
            thread::yield_now();
        }
        assert_eq!(receives.join().unwrap(), Ok(2));
    });
    let sends = thread::spawn(move || sender.send(3));
    thread::sleep(A_MOMENT);
    drop(receiver);
    assert_eq!(sends.join().unwrap(), Err(SendError(3)));
}

#[test]
fn meetings_among_many() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(0);
    let sum: u64 = thread::scope(|scope| {
        for from in 0..4 {
            let sender = sender.clone();
            scope.spawn(move || {
                for n in (from..4_000).step_by(4) {
                    let mut item: u64 = n;
                    while let Err(back) = sender.send_timeout(item, Duration::from_micros(20)) {
                        item = back.into_inner();
                    }
                }
            });
        }
        drop(sender);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let receiver = receiver.clone();
                scope.spawn(move || receiver.iter().sum::<u64>())
            })
            .collect();
        receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum()
    });
    assert_eq!(sum, 3_999 * 4_000 / 2);
}

#[test]
fn clocks() {
    let begun = Instant::now();
    assert!(after(Duration::from_millis(2)).recv().unwrap() >= begun + Duration::from_millis(2));
    let once = at(begun);
    assert_eq!(once.try_recv(), Ok(begun));
    assert_eq!(once.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    let ticks: Vec<_> = tick(Duration::from_millis(1)).iter().take(3).collect();
    assert!(ticks.is_sorted() && ticks[2] >= begun + Duration::from_millis(3));
    assert_eq!(never::<u8>().try_recv(), Err(TryRecvError::Empty));
    assert_eq!(
        never::<u8>().recv_timeout(Duration::from_millis(1)),
        Err(RecvTimeoutError::Timeout)
    );
    assert!(after(Duration::MAX).try_recv().is_err());
}

#[test]
fn a_channel_is_closed_by_one_handle() {
    let _watchdog = watch();
    for capacity in [Some(0), Some(2), None] {
        let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
        let waits = receiver.clone();
        thread::scope(|scope| {
            let receives = scope.spawn(move || waits.recv());
            thread::sleep(A_MOMENT);
            if capacity == Some(2) {
                sender.close();
            } else {
                receiver.close();
            }
            assert_eq!(receives.join().unwrap(), Err(RecvError));
        });
        assert!(sender.is_disconnected() && receiver.is_disconnected());
        assert_eq!(sender.send(1), Err(SendError(1)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    }
    never::<u8>().close();
    assert_eq!(never::<u8>().try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_weak_sender_keeps_no_channel_connected() {
    let (sender, receiver) = unbounded();
    let weak = sender.downgrade();
    let again = weak.clone();
    let second = weak.upgrade().unwrap();
    drop(sender);
    second.send(1).unwrap();
    assert!(!receiver.is_disconnected());
    drop(second);
    assert!(receiver.is_disconnected());
    assert!(weak.upgrade().is_none() && again.upgrade().is_none());
    assert_eq!(receiver.drain(), [1]);
    assert_eq!(receiver.recv(), Err(RecvError));
}
