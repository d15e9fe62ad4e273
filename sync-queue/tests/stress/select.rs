//! Selects among selects, sends and receives, with timeouts and ends that go.

use std::thread;
use std::time::Duration;

use sync_queue::channel::{self, Receiver, Sender, select};

use crate::items;
use crate::watchdog::{note, watch};

type Ends = (Sender<usize>, Receiver<usize>);

fn ends(capacity: Option<usize>) -> Ends {
    capacity.map_or_else(channel::unbounded, channel::bounded)
}

/// Sends the items that `first`, with a step of `step`, begins, over either channel.
fn produce(senders: &[Sender<usize>; 2], kind: usize, first: usize, step: usize, items: usize) {
    for n in (first..items).step_by(step) {
        match kind % 3 {
            // A select that waits.
            0 => select! {
                send(senders[0], n) -> sent => sent.unwrap(),
                send(senders[1], n) -> sent => sent.unwrap(),
            },
            // A select that gives up.
            1 => loop {
                select! {
                    send(senders[0], n) -> sent => break sent.unwrap(),
                    send(senders[1], n) -> sent => break sent.unwrap(),
                    default(Duration::from_micros(20)) => {}
                }
            },
            // A plain send.
            _ => senders[n % 2].send(n).unwrap(),
        }
    }
}

/// Receives from either channel until both are disconnected.
fn consume(receivers: &[Receiver<usize>; 2], kind: usize) -> Vec<usize> {
    let mut got = Vec::new();
    let mut open = receivers.clone();
    let mut left = 2;
    while left > 0 {
        let (at, item) = match kind % 3 {
            0 => select! {
                recv(open[0]) -> item => (0, item),
                recv(open[1]) -> item => (1, item),
            },
            1 => select! {
                recv(open[0]) -> item => (0, item),
                recv(open[1]) -> item => (1, item),
                default(Duration::from_micros(20)) => continue,
            },
            _ => {
                let at = if left == 2 { got.len() % 2 } else { usize::from(open[1].is_ours()) };
                match open[at].recv_timeout(Duration::from_micros(50)) {
                    Ok(item) => (at, Ok(item)),
                    Err(why) if why.is_timeout() => {
                        select! {
                            recv(open[0]) -> item => (0, item),
                            recv(open[1]) -> item => (1, item),
                        }
                    }
                    Err(_) => (at, Err(channel::RecvError)),
                }
            }
        };
        match item {
            Ok(item) => got.push(item),
            Err(_) => {
                left -= 1;
                open[at] = channel::never();
            }
        }
    }
    got
}

trait IsOurs {
    fn is_ours(&self) -> bool;
}

impl IsOurs for Receiver<usize> {
    /// Whether it has not been replaced by `never`.
    fn is_ours(&self) -> bool {
        !self.same_channel(&channel::never())
    }
}

#[test]
fn nothing_is_lost_or_doubled_by_selects() {
    let _watchdog = watch();
    for capacities in [[Some(0), Some(0)], [Some(0), Some(1)], [Some(1), None], [Some(7), Some(1)]]
    {
        for (producers, consumers) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
            note(format!("{capacities:?}: {producers} producers, {consumers} consumers"));
            let items = items(Some(1)) / 2;
            let ((one, first), (two, second)) = (ends(capacities[0]), ends(capacities[1]));
            let (senders, receivers) = ([one, two], [first, second]);
            let mut all: Vec<usize> = thread::scope(|scope| {
                let consumers: Vec<_> = (0..consumers)
                    .map(|kind| {
                        let receivers = receivers.clone();
                        scope.spawn(move || consume(&receivers, kind))
                    })
                    .collect();
                for kind in 0..producers {
                    let senders = senders.clone();
                    scope.spawn(move || produce(&senders, kind, kind, producers, items));
                }
                drop((senders, receivers));
                consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect()
            });
            all.sort_unstable();
            assert!(all.into_iter().eq(0..items));
        }
    }
}

/// Threads that each select on both ends of one channel: as many sends as receives, and no thread
/// receives its own item.
#[test]
fn selects_on_both_ends_meet_each_other() {
    let _watchdog = watch();
    for capacity in [0, 1] {
        let (sender, receiver) = channel::bounded(capacity);
        let counts: Vec<(usize, usize)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4_usize)
                .map(|me| {
                    let (sender, receiver) = (sender.clone(), receiver.clone());
                    scope.spawn(move || {
                        let (mut sent, mut received) = (0, 0);
                        for _ in 0..300 {
                            select! {
                                send(sender, me) -> result => {
                                    result.unwrap();
                                    sent += 1;
                                }
                                recv(receiver) -> from => {
                                    assert!(capacity > 0 || from != Ok(me));
                                    received += 1;
                                }
                                default(Duration::from_micros(100)) => {}
                            }
                        }
                        (sent, received)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sent: usize = counts.iter().map(|count| count.0).sum();
        let received: usize = counts.iter().map(|count| count.1).sum();
        assert_eq!(sent, received + receiver.len());
    }
}
