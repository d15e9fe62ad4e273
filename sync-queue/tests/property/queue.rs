//! `Queue` against a `VecDeque` and two numbers.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use sync_queue::{GetError, PutError, Queue, ShutDown};

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Put,
    ForcePut,
    PutMany(usize),
    Get,
    GetMany(usize),
    Drain,
    TaskDone,
    Shutdown,
    ShutdownNow,
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => Just(Op::Put),
        2 => Just(Op::ForcePut),
        3 => (0..140_usize).prop_map(Op::PutMany),
        8 => Just(Op::Get),
        3 => (0..140_usize).prop_map(Op::GetMany),
        1 => Just(Op::Drain),
        6 => Just(Op::TaskDone),
        1 => Just(Op::Shutdown),
        1 => Just(Op::ShutdownNow),
    ];
    vec(op, 0..60)
}

/// A queue in its plainest form: the naive oracle.
#[derive(Default)]
struct Oracle {
    items: VecDeque<u32>,
    capacity: Option<usize>,
    unfinished: u64,
    shut: bool,
}

impl Oracle {
    fn full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.items.len() >= capacity)
    }

    fn put(&mut self, item: u32) -> Result<(), PutError<u32>> {
        if self.shut {
            return Err(PutError::ShutDown(item));
        }
        if self.full() {
            return Err(PutError::Full(item));
        }
        self.items.push_back(item);
        self.unfinished += 1;
        Ok(())
    }

    fn get(&mut self) -> Result<u32, GetError> {
        self.items.pop_front().ok_or(if self.shut { GetError::ShutDown } else { GetError::Empty })
    }

    fn forget(&mut self, count: usize) {
        self.unfinished -= self.unfinished.min(count as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_oracle(
        capacity in prop_oneof![
            Just(None),
            (1..6_usize).prop_map(Some),
            (60..70_usize).prop_map(Some),
        ],
        ops in ops(),
    ) {
        let queue = capacity.map_or_else(Queue::unbounded, Queue::bounded);
        let mut oracle = Oracle { capacity, ..Oracle::default() };
        let mut fresh = 0..;
        for op in ops {
            match op {
                Op::Put => {
                    let item = fresh.next().unwrap();
                    prop_assert_eq!(queue.try_put(item), oracle.put(item));
                }
                Op::ForcePut => {
                    let item = fresh.next().unwrap();
                    let expected = if oracle.shut {
                        Err(ShutDown(item))
                    } else {
                        let evicted = if oracle.full() { oracle.items.pop_front() } else { None };
                        oracle.put(item).unwrap();
                        oracle.forget(usize::from(evicted.is_some()));
                        Ok(evicted)
                    };
                    prop_assert_eq!(queue.force_put(item), expected);
                }
                Op::PutMany(count) => {
                    let items: Vec<_> = fresh.by_ref().take(count).collect();
                    let expected = items
                        .iter()
                        .position(|&item| oracle.put(item).is_err())
                        .map_or(Ok(()), |at| {
                            let rest = items[at..].to_vec();
                            Err(if oracle.shut {
                                PutError::ShutDown(rest)
                            } else {
                                PutError::Full(rest)
                            })
                        });
                    prop_assert_eq!(queue.try_put_many(items), expected);
                }
                Op::Get => prop_assert_eq!(queue.try_get(), oracle.get()),
                Op::GetMany(max) => {
                    let mut got = Vec::new();
                    let answer = queue.try_get_many(&mut got, max);
                    // It may stop before `max` (at the end of a block), but not at nothing.
                    if max == 0 {
                        prop_assert_eq!(answer, Ok(0));
                    } else if got.is_empty() {
                        prop_assert_eq!(answer.map(|_| 0), oracle.get());
                    } else {
                        prop_assert_eq!(answer, Ok(got.len()));
                        prop_assert!(got.len() <= max);
                        let expected: Vec<_> = oracle.items.drain(..got.len()).collect();
                        prop_assert_eq!(got, expected);
                    }
                }
                Op::Drain => prop_assert_eq!(queue.drain(), Vec::from_iter(oracle.items.drain(..))),
                Op::TaskDone => {
                    prop_assert_eq!(queue.task_done().is_ok(), oracle.unfinished > 0);
                    oracle.forget(1);
                }
                Op::Shutdown => {
                    queue.shutdown();
                    oracle.shut = true;
                }
                Op::ShutdownNow => {
                    let expected = Vec::from_iter(oracle.items.drain(..));
                    oracle.forget(expected.len());
                    oracle.shut = true;
                    prop_assert_eq!(queue.shutdown_now(), expected);
                }
            }
            prop_assert_eq!(queue.len(), oracle.items.len());
            prop_assert_eq!(queue.is_empty(), oracle.items.is_empty());
            prop_assert_eq!(queue.is_full(), oracle.full());
            prop_assert_eq!(queue.unfinished(), oracle.unfinished);
            prop_assert_eq!(queue.is_shutdown(), oracle.shut);
            prop_assert_eq!(queue.join_timeout(std::time::Duration::ZERO), oracle.unfinished == 0);
        }
    }
}
