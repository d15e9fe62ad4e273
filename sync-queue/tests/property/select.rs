//! Random programs of sends, receives and selects in one thread, against vectors.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use sync_queue::channel::{Receiver, Select, Sender, bounded, unbounded};

#[derive(Clone, Debug)]
enum Op {
    Send(usize),
    Recv(usize),
    /// The cases: a channel and whether it is received from. Whether the select is biased, and
    /// whether its choice is dropped if it is a send.
    Select(Vec<(usize, bool)>, bool, bool),
    DropSender(usize),
    DropReceiver(usize),
}

const CHANNELS: usize = 3;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..CHANNELS).prop_map(Op::Send),
        4 => (0..CHANNELS).prop_map(Op::Recv),
        8 => (vec((0..CHANNELS, any::<bool>()), 1..5), any::<bool>(), any::<bool>())
            .prop_map(|(cases, biased, leaves)| Op::Select(cases, biased, leaves)),
        1 => (0..CHANNELS).prop_map(Op::DropSender),
        1 => (0..CHANNELS).prop_map(Op::DropReceiver),
    ];
    vec(op, 0..60)
}

/// A channel in its plainest form: the naive oracle.
struct Oracle {
    items: VecDeque<u32>,
    capacity: usize,
    sender: bool,
    receiver: bool,
}

impl Oracle {
    fn can_send(&self) -> bool {
        !self.receiver || self.items.len() < self.capacity
    }

    fn can_recv(&self) -> bool {
        !self.sender || !self.items.is_empty()
    }

    fn send(&mut self, item: u32) -> bool {
        if self.receiver {
            self.items.push_back(item);
        }
        self.receiver
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_select_agrees_with_the_oracle(
        capacities in proptest::array::uniform3(prop_oneof![
            Just(Some(0)), (1..4_usize).prop_map(Some), Just(None)
        ]),
        ops in ops(),
    ) {
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        let mut oracles = Vec::new();
        for capacity in capacities {
            let (sender, receiver): (Sender<u32>, Receiver<u32>) =
                capacity.map_or_else(unbounded, bounded);
            // A second handle of each, so that an end that is gone can still be used in a case.
            senders.push(Some(sender));
            receivers.push(Some(receiver));
            oracles.push(Oracle {
                items: VecDeque::new(),
                capacity: capacity.unwrap_or(usize::MAX),
                sender: true,
                receiver: true,
            });
        }
        let mut fresh = 0..;
        for op in ops {
            match op {
                Op::Send(at) => if let Some(sender) = &senders[at] {
                    let item = fresh.next().unwrap();
                    let expected = oracles[at].can_send() && oracles[at].send(item);
                    prop_assert_eq!(sender.try_send(item).is_ok(), expected);
                },
                Op::Recv(at) => if let Some(receiver) = &receivers[at] {
                    prop_assert_eq!(receiver.try_recv().ok(), oracles[at].items.pop_front());
                },
                Op::Select(cases, biased, leaves) => {
                    let mut select = if biased { Select::new_biased() } else { Select::new() };
                    // By index.
                    let mut added = Vec::new();
                    for (at, receives) in cases {
                        match (receives, &receivers[at], &senders[at]) {
                            (true, Some(receiver), _) => { select.recv(receiver); }
                            (false, _, Some(sender)) => { select.send(sender); }
                            _ => continue,
                        }
                        added.push((at, receives));
                    }
                    let possible: Vec<bool> = added.iter().map(|&(at, receives)| {
                        if receives { oracles[at].can_recv() } else { oracles[at].can_send() }
                    }).collect();
                    match select.try_ready() {
                        Ok(index) => prop_assert!(possible[index]),
                        Err(_) => prop_assert!(!possible.contains(&true)),
                    }
                    let Ok(selected) = select.try_select() else {
                        prop_assert!(!possible.contains(&true));
                        continue;
                    };
                    let index = selected.index();
                    prop_assert!(possible[index]);
                    if biased {
                        prop_assert_eq!(Some(index), possible.iter().position(|&can| can));
                    }
                    let (at, receives) = added[index];
                    if receives {
                        let got = selected.recv(receivers[at].as_ref().unwrap()).ok();
                        prop_assert_eq!(got, oracles[at].items.pop_front());
                    } else if leaves && oracles[at].items.is_empty() {
                        // A place that is left behind items still counts until they are gone.
                        let left = std::panic::catch_unwind(
                            std::panic::AssertUnwindSafe(|| drop(selected)),
                        );
                        prop_assert!(left.is_err());
                    } else {
                        let item = fresh.next().unwrap();
                        let sent = selected.send(senders[at].as_ref().unwrap(), item).is_ok();
                        prop_assert_eq!(sent, oracles[at].send(item));
                    }
                }
                Op::DropSender(at) => {
                    senders[at] = None;
                    oracles[at].sender = false;
                }
                Op::DropReceiver(at) => {
                    receivers[at] = None;
                    oracles[at].receiver = false;
                    oracles[at].items.clear();
                }
            }
        }
    }
}
