//! A send that a select has begun and not completed yet.

use std::thread;
use std::time::{Duration, Instant};

use sync_core::CancelToken;
use sync_core::task::block_on;
use sync_queue::channel::{
    RecvCancelError, RecvError, RecvTimeoutError, Select, SelectedOperation, SendError, Sender,
    TryReadyError, TryRecvError, bounded, select,
};

use crate::select::leave;
use crate::support::A_MOMENT;
use crate::watchdog::watch;

/// A limit that runs out.
const SHORT: Duration = Duration::from_millis(1);

/// Begins the one send that a select has.
fn begun(sender: &Sender<u32>) -> SelectedOperation<'_> {
    let mut select = Select::new();
    select.send(sender);
    select.select()
}

/// A send that was begun may stay so for any time: it is another thread's. Receivers that do not
/// wait, or not for long, come back in their time, also if items were sent behind it.
#[test]
fn a_begun_send_holds_up_no_receive_past_its_limit() {
    let _watchdog = watch();
    for (capacity, behind) in [(1, 0), (3, 0), (3, 2)] {
        let (sender, receiver) = bounded(capacity);
        for round in 0..5 {
            let selected = begun(&sender);
            (0..behind).for_each(|n| sender.try_send(n).unwrap());
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
            let deadline = Instant::now() + SHORT;
            assert_eq!(receiver.recv_deadline(deadline), Err(RecvTimeoutError::Timeout));
            let token = CancelToken::new();
            token.cancel();
            assert_eq!(receiver.recv_or_cancelled(&token), Err(RecvCancelError::Cancelled));
            assert!(receiver.try_iter().next().is_none() && receiver.drain().is_empty());
            let (silence, silent) = bounded::<u32>(1);
            select! {
                recv(receiver) -> _ => unreachable!("nothing is inside"),
                recv(silent) -> _ => unreachable!("nothing is inside"),
                default => {}
            }
            select! {
                recv(receiver) -> _ => unreachable!("nothing is inside"),
                recv(silent) -> _ => unreachable!("nothing is inside"),
                default(SHORT) => {}
            }
            let mut select = Select::new();
            select.recv(&receiver);
            assert_eq!(select.try_ready(), Err(TryReadyError));
            assert!(select.ready_timeout(SHORT).is_err());
            drop(silence);
            if round % 2 == 0 {
                selected.send(&sender, 7).unwrap();
                assert_eq!(receiver.try_recv(), Ok(7));
            } else {
                leave(selected);
            }
            assert!(receiver.try_iter().eq(0..behind));
        }
    }
}

/// Receivers that wait for an item behind a send that was begun are woken when it ends, however it
/// ends, and whatever came behind it: threads, tasks and selects.
#[test]
fn the_end_of_a_begun_send_wakes_all_that_wait_for_it() {
    let _watchdog = watch();
    for round in 0..12 {
        let (sender, receiver) = bounded(4);
        let (_silence, silent) = bounded::<u32>(1);
        thread::scope(|scope| {
            let selected = begun(&sender);
            let receives = [
                scope.spawn(|| receiver.recv()),
                scope.spawn(|| block_on(receiver.recv_async())),
                scope.spawn(|| {
                    select! {
                        recv(receiver) -> item => item,
                        recv(silent) -> item => item,
                    }
                }),
            ];
            if round % 3 > 0 {
                thread::sleep(A_MOMENT);
            }
            (0..2).for_each(|n| sender.send(n).unwrap());
            if round % 3 > 1 {
                thread::sleep(A_MOMENT);
            }
            match round / 3 {
                0 => selected.send(&sender, 2).unwrap(),
                1 => {
                    leave(selected);
                    sender.send(2).unwrap();
                }
                2 => {
                    sender.send(2).unwrap();
                    sender.close();
                    assert_eq!(selected.send(&sender, 3), Err(SendError(3)));
                }
                _ => {
                    sender.send(2).unwrap();
                    std::mem::forget(selected);
                    sender.close();
                }
            }
            let mut got = receives.map(|thread| thread.join().unwrap().unwrap());
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2]);
        });
    }
}

/// With room for none, a channel that is closed takes no receiver along that a send has chosen.
#[test]
fn a_close_ends_the_wait_for_a_begun_send() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(0);
    thread::scope(|scope| {
        let threads = scope.spawn(|| receiver.recv());
        let mut select = Select::new();
        select.send(&sender);
        let selected = select.select();
        sender.close();
        assert_eq!(threads.join().unwrap(), Err(RecvError));
        assert_eq!(selected.send(&sender, 7), Err(SendError(7)));
    });
    let (sender, receiver) = bounded::<u32>(0);
    thread::scope(|scope| {
        let selects = scope.spawn(|| select! { recv(receiver) -> item => item });
        let mut select = Select::new();
        select.send(&sender);
        std::mem::forget(select.select());
        receiver.close();
        assert_eq!(selects.join().unwrap(), Err(RecvError));
    });
}
