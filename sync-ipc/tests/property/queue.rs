//! The queue next to a `VecDeque` and a list of leases.

use std::collections::VecDeque;

use proptest::prelude::*;
use sync_ipc::{Lease, Orphans, Queue, QueueOptions, RecvError, Segment, SendError};

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    Receive,
    Lease,
    Acknowledge(usize),
    GiveBack(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => Just(Step::Send),
        8 => Just(Step::Receive),
        4 => Just(Step::Lease),
        3 => any::<usize>().prop_map(Step::Acknowledge),
        2 => any::<usize>().prop_map(Step::GiveBack),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn as_a_deque_with_leases(
        capacity in 1_usize..9,
        drops in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let segment = Segment::anonymous(4096).expect("a segment");
        let orphans = if drops { Orphans::Drop } else { Orphans::Redeliver };
        let options = QueueOptions { capacity, orphans };
        let queue = Queue::<u64>::with_options(&segment, "queue", options).expect("room");
        // In order; given back, in any order, after all that is in order; leased.
        let (mut items, mut back) = (VecDeque::new(), Vec::new());
        let mut leases = Vec::<Lease<'_, u64>>::new();
        let (mut next, mut closed) = (0, false);
        for step in steps {
            let used = items.len() + back.len() + leases.len();
            match step {
                Step::Send => {
                    let expected = if closed {
                        Err(SendError::Closed(next))
                    } else if used == capacity {
                        Err(SendError::Full(next))
                    } else {
                        Ok(())
                    };
                    prop_assert_eq!(queue.try_put(next), expected);
                    if expected.is_ok() {
                        items.push_back(next);
                    }
                    next += 1;
                }
                Step::Receive | Step::Lease => {
                    let received = match step {
                        Step::Receive => queue.try_get(),
                        _ => queue.try_get_lease().map(|lease| {
                            let item = *lease.item();
                            leases.push(lease);
                            item
                        }),
                    };
                    match (items.pop_front(), received) {
                        (Some(expected), Ok(item)) => prop_assert_eq!(item, expected),
                        (None, Ok(item)) => {
                            let at = back.iter().position(|other| *other == item);
                            prop_assert!(at.is_some(), "{} was not given back", item);
                            back.swap_remove(at.expect("just seen"));
                        }
                        (None, Err(error)) => {
                            let is_over = closed && (drops || leases.is_empty());
                            let expected =
                                if is_over { RecvError::Closed } else { RecvError::Empty };
                            prop_assert_eq!(error, expected);
                            prop_assert!(back.is_empty(), "{:?} were given back", back);
                        }
                        (Some(expected), Err(error)) => {
                            prop_assert!(false, "{} is there, but {}", expected, error);
                        }
                    }
                }
                Step::Acknowledge(which) if !leases.is_empty() => {
                    leases.swap_remove(which % leases.len()).ack();
                }
                Step::GiveBack(which) if !leases.is_empty() => {
                    let lease = leases.swap_remove(which % leases.len());
                    if !drops {
                        back.push(*lease.item());
                    }
                    drop(lease);
                }
                Step::Acknowledge(_) | Step::GiveBack(_) => {}
                Step::Close => {
                    queue.shutdown();
                    closed = true;
                }
            }
            prop_assert_eq!(queue.len(), items.len());
            prop_assert_eq!(queue.is_shutdown(), closed);
        }
    }
}
