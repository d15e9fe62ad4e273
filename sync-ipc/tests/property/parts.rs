//! The queue of messages next to a deque of vectors, and the queue in place next to a deque, a list
//! of loans and a list of leases.

use std::collections::VecDeque;

use proptest::prelude::*;
use sync_ipc::{
    ByteQueue, InPlaceLease, InPlaceQueue, Loan, Orphans, QueueOptions, RecvError, Segment,
    SendError,
};

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Receive,
    ReceiveInto,
    Reopen,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Send),
        6 => Just(Step::Receive),
        3 => Just(Step::ReceiveInto),
        1 => Just(Step::Reopen),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn messages_as_a_deque_of_vectors(
        capacity in 1_usize..6,
        most in 0_usize..33,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let segment = Segment::anonymous(4096).expect("a segment");
        let mut queue = ByteQueue::create(&segment, "queue", capacity, most).expect("room");
        let most = most.next_multiple_of(8);
        let mut messages = VecDeque::<Vec<u8>>::new();
        let (mut closed, mut reused) = (false, vec![9; 3]);
        for step in steps {
            match step {
                Step::Send(message) => {
                    let expected = if message.len() > most {
                        Err(SendError::TooLong(()))
                    } else if closed {
                        Err(SendError::Closed(()))
                    } else if messages.len() == capacity {
                        Err(SendError::Full(()))
                    } else {
                        Ok(())
                    };
                    prop_assert_eq!(queue.try_put(&message), expected);
                    if expected.is_ok() {
                        messages.push_back(message);
                    }
                }
                Step::ReceiveInto if !messages.is_empty() => {
                    queue.get_into(&mut reused).expect("it is there");
                    prop_assert_eq!(&reused, &messages.pop_front().expect("there is one"));
                }
                Step::Receive | Step::ReceiveInto => {
                    let none = if closed { RecvError::Closed } else { RecvError::Empty };
                    prop_assert_eq!(queue.try_get(), messages.pop_front().ok_or(none));
                }
                Step::Reopen => {
                    queue = ByteQueue::open(&segment, "queue").expect("it is there").clone();
                }
                Step::Close => {
                    queue.shutdown();
                    closed = true;
                }
            }
            prop_assert_eq!(queue.len(), messages.len());
            prop_assert_eq!((queue.capacity(), queue.max_len()), (capacity, most));
            prop_assert_eq!(queue.is_shutdown(), closed);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum InPlace {
    Loan,
    Write(usize, u64),
    Send(usize),
    DropLoan(usize),
    Lease,
    Acknowledge(usize),
    GiveBack(usize),
    Copy,
}

fn in_place() -> impl Strategy<Value = InPlace> {
    let which = any::<usize>;
    prop_oneof![
        6 => Just(InPlace::Loan),
        6 => (which(), any::<u64>()).prop_map(|(which, word)| InPlace::Write(which, word)),
        5 => which().prop_map(InPlace::Send),
        2 => which().prop_map(InPlace::DropLoan),
        5 => Just(InPlace::Lease),
        4 => which().prop_map(InPlace::Acknowledge),
        2 => which().prop_map(InPlace::GiveBack),
        2 => Just(InPlace::Copy),
    ]
}

type Item = [u64; 3];

proptest! {
    #[test]
    fn items_in_place_as_a_deque_with_loans_and_leases(
        capacity in 1_usize..6,
        drops in any::<bool>(),
        steps in prop::collection::vec(in_place(), 1..150),
    ) {
        let segment = Segment::anonymous(4096).expect("a segment");
        // SAFETY: no other process has the segment.
        let segment = unsafe { segment.trusting_peers() };
        let orphans = if drops { Orphans::Drop } else { Orphans::Redeliver };
        let options = QueueOptions { capacity, orphans };
        let queue = InPlaceQueue::<Item>::with_options(&segment, "queue", options).expect("room");
        // In order; given back, in any order, after all that is in order.
        let (mut items, mut back) = (VecDeque::<Item>::new(), Vec::<Item>::new());
        let mut loans = Vec::<(Loan<'_, Item>, Item)>::new();
        let mut leases = Vec::<(InPlaceLease<'_, Item>, Item)>::new();
        for step in steps {
            let used = items.len() + back.len() + loans.len() + leases.len();
            match step {
                InPlace::Loan => match queue.try_loan() {
                    Ok(mut loan) => {
                        prop_assert!(used < capacity);
                        *loan = [1; 3];
                        loans.push((loan, [1; 3]));
                    }
                    Err(error) => {
                        prop_assert_eq!((error, used), (SendError::Full(()), capacity));
                    }
                },
                InPlace::Write(which, word) if !loans.is_empty() => {
                    let which = which % loans.len();
                    let (loan, item) = &mut loans[which];
                    loan[which % 3] = word;
                    item[which % 3] = word;
                }
                InPlace::Send(which) if !loans.is_empty() => {
                    let (loan, item) = loans.swap_remove(which % loans.len());
                    loan.put().expect("honest");
                    items.push_back(item);
                }
                InPlace::DropLoan(which) if !loans.is_empty() => {
                    drop(loans.swap_remove(which % loans.len()));
                }
                InPlace::Lease => match queue.try_get() {
                    Ok(lease) => {
                        let item = *lease;
                        match items.pop_front() {
                            Some(expected) => prop_assert_eq!(item, expected),
                            None => {
                                let at = back.iter().position(|other| *other == item);
                                prop_assert!(at.is_some(), "{:?} was not given back", item);
                                back.swap_remove(at.expect("just seen"));
                            }
                        }
                        leases.push((lease, item));
                    }
                    Err(error) => {
                        prop_assert_eq!(error, RecvError::Empty);
                        prop_assert!(items.is_empty() && back.is_empty());
                    }
                },
                InPlace::Acknowledge(which) if !leases.is_empty() => {
                    leases.swap_remove(which % leases.len()).0.ack();
                }
                InPlace::GiveBack(which) if !leases.is_empty() => {
                    let (lease, item) = leases.swap_remove(which % leases.len());
                    drop(lease);
                    if !drops {
                        back.push(item);
                    }
                }
                // The same queue, by copies.
                InPlace::Copy => {
                    let sent = queue.as_queue().try_put([5; 3]);
                    prop_assert_eq!(sent.is_ok(), used < capacity);
                    if sent.is_ok() {
                        items.push_back([5; 3]);
                    }
                }
                _ => {}
            }
            // No place is two items'.
            for (loan, item) in &loans {
                prop_assert_eq!(**loan, *item);
            }
            for (lease, item) in &leases {
                prop_assert_eq!(**lease, *item);
            }
            prop_assert_eq!(queue.as_queue().len(), items.len());
        }
    }
}
