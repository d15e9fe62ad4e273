//! `select!` over 2 and 8 channels: crossbeam-channel and flume's `Selector`.
//!
//! * `ready-<n>`: one thread; an item goes into one channel after the other, and a select over all
//!   takes it;
//! * `none-<n>`: one thread; a select with a default over channels without items (flume has no
//!   such call);
//! * `wait-<n>`: one thread sends to one channel after the other, another selects over all and
//!   answers each item, so that both wait.

use std::sync::Mutex;
use std::time::Instant;

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs.
trait Peer: 'static {
    const PEER: &'static str;
    type Sender: Send;
    type Receiver: Send;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, item: u64);
    fn recv(receiver: &Self::Receiver) -> u64;
    /// Receives from the first of the channels.
    fn select<const N: usize>(receivers: &[Self::Receiver; N]) -> u64;
    /// Looks for an item; `None`: there is none.
    fn try_select<const N: usize>(receivers: &[Self::Receiver; N]) -> Option<u64>;
}

macro_rules! peer {
    ($name:ident, $peer:expr, $($path:ident)::+) => {
        struct $name;

        impl Peer for $name {
            const PEER: &'static str = $peer;
            type Sender = $($path)::+::Sender<u64>;
            type Receiver = $($path)::+::Receiver<u64>;

            fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
                $($path)::+::bounded(capacity)
            }

            fn send(sender: &Self::Sender, item: u64) {
                sender.send(item).expect("the receiver is there");
            }

            fn recv(receiver: &Self::Receiver) -> u64 {
                receiver.recv().expect("the sender is there")
            }

            fn select<const N: usize>(r: &[Self::Receiver; N]) -> u64 {
                use $($path)::+::select;
                match N {
                    2 => select! {
                        recv(r[0]) -> item => item,
                        recv(r[1]) -> item => item,
                    },
                    _ => select! {
                        recv(r[0]) -> item => item,
                        recv(r[1]) -> item => item,
                        recv(r[2]) -> item => item,
                        recv(r[3]) -> item => item,
                        recv(r[4]) -> item => item,
                        recv(r[5]) -> item => item,
                        recv(r[6]) -> item => item,
                        recv(r[7]) -> item => item,
                    },
                }
                .expect("the senders are there")
            }

            fn try_select<const N: usize>(r: &[Self::Receiver; N]) -> Option<u64> {
                use $($path)::+::select;
                match N {
                    2 => select! {
                        recv(r[0]) -> item => item.ok(),
                        recv(r[1]) -> item => item.ok(),
                        default => None,
                    },
                    _ => select! {
                        recv(r[0]) -> item => item.ok(),
                        recv(r[1]) -> item => item.ok(),
                        recv(r[2]) -> item => item.ok(),
                        recv(r[3]) -> item => item.ok(),
                        recv(r[4]) -> item => item.ok(),
                        recv(r[5]) -> item => item.ok(),
                        recv(r[6]) -> item => item.ok(),
                        recv(r[7]) -> item => item.ok(),
                        default => None,
                    },
                }
            }
        }
    };
}

peer!(Ours, OURS, sync_queue::channel);
peer!(Crossbeam, "crossbeam", crossbeam_channel);

struct Flume;

impl Peer for Flume {
    const PEER: &'static str = "flume";
    type Sender = flume::Sender<u64>;
    type Receiver = flume::Receiver<u64>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(capacity)
    }

    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    fn recv(receiver: &Self::Receiver) -> u64 {
        receiver.recv().expect("the sender is there")
    }

    fn select<const N: usize>(receivers: &[Self::Receiver; N]) -> u64 {
        receivers
            .iter()
            .fold(flume::Selector::new(), |selector, receiver| {
                selector.recv(receiver, |item| item.expect("the senders are there"))
            })
            .wait()
    }

    fn try_select<const N: usize>(_: &[Self::Receiver; N]) -> Option<u64> {
        unreachable!("flume has no such call")
    }
}

/// All workloads of select.
pub fn workloads() -> Vec<Workload> {
    let mut all = sized::<2>();
    all.extend(sized::<8>());
    all
}

fn sized<const N: usize>() -> Vec<Workload> {
    vec![
        Workload::single(
            "select",
            format!("ready-{N}"),
            vec![ready::<Ours, N>(), ready::<Crossbeam, N>(), ready::<Flume, N>()],
        ),
        Workload::single(
            "select",
            format!("none-{N}"),
            vec![none::<Ours, N>(), none::<Crossbeam, N>()],
        ),
        Workload::team(
            "select",
            format!("wait-{N}"),
            2,
            vec![wait::<Ours, N>(), wait::<Crossbeam, N>(), wait::<Flume, N>()],
        )
        .paced_by_ops(),
    ]
}

fn open<P: Peer, const N: usize>() -> ([P::Sender; N], [P::Receiver; N]) {
    let mut receivers = Vec::new();
    let senders = core::array::from_fn(|_| {
        let (sender, receiver) = P::open(1);
        receivers.push(receiver);
        sender
    });
    let Ok(receivers) = receivers.try_into() else { unreachable!("there are N of them") };
    (senders, receivers)
}

fn ready<P: Peer, const N: usize>() -> Contestant {
    shapes::custom(P::PEER, || {
        let (senders, receivers) = open::<P, N>();
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let start = Instant::now();
            let mut wrong = 0;
            for number in 0..ops {
                P::send(&senders[number as usize % N], number);
                wrong += u64::from(P::select(&receivers) != number);
            }
            let elapsed = start.elapsed();
            expect(0, wrong)?;
            Ok(Outcome::timed(ops, elapsed))
        }
    })
}

fn none<P: Peer, const N: usize>() -> Contestant {
    shapes::custom(P::PEER, || {
        let (senders, receivers) = open::<P, N>();
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let start = Instant::now();
            let found = (0..ops).filter(|_| P::try_select(&receivers).is_some()).count();
            let elapsed = start.elapsed();
            expect(0, found as u64)?;
            // The other side stays until now.
            P::send(&senders[0], 0);
            expect(0, P::recv(&receivers[0]))?;
            Ok(Outcome::timed(ops, elapsed))
        }
    })
}

fn wait<P: Peer, const N: usize>() -> Contestant {
    shapes::custom(P::PEER, || {
        |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let (senders, receivers) = open::<P, N>();
            let (answer, answers) = P::open(1);
            let asks = Mutex::new(Some((senders, answers)));
            let replies = Mutex::new(Some((receivers, answer)));
            let run = run_team(2, Length::Ops(ops * 2), |member| {
                let mut right = 0;
                if member.index == 0 {
                    let ends = asks.lock().expect("no thread panics").take();
                    let (senders, answers) = ends.expect("it is taken once");
                    for number in 0..ops {
                        P::send(&senders[number as usize % N], number);
                        right += u64::from(P::recv(&answers) == number);
                    }
                } else {
                    let ends = replies.lock().expect("no thread panics").take();
                    let (receivers, answer) = ends.expect("it is taken once");
                    for number in 0..ops {
                        let item = P::select(&receivers);
                        right += u64::from(item == number);
                        P::send(&answer, item);
                    }
                }
                right
            });
            expect(ops * 2, run.ops())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
