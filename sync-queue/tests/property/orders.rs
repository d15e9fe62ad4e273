//! `LifoQueue` against a vector, `PriorityQueue` against a stable sort, `spsc` against a
//! `VecDeque`.

use std::cmp::Ordering;
use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use sync_queue::{GetError, LifoQueue, PriorityQueue, PutError, spsc};

/// Compared by its priority alone; the number tells equals apart.
#[derive(Clone, Copy, Debug)]
struct Item {
    priority: u8,
    number: usize,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority.cmp(&other.priority)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8),
    ForcePut(u8),
    PutMany(Vec<u8>),
    Get,
    GetMany(usize),
    TaskDone,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..4_u8).prop_map(Op::Put),
        2 => (0..4_u8).prop_map(Op::ForcePut),
        2 => vec(0..4_u8, 0..6).prop_map(Op::PutMany),
        5 => Just(Op::Get),
        1 => (1..6_usize).prop_map(Op::GetMany),
        3 => Just(Op::TaskDone),
    ];
    vec(op, 0..80)
}

/// The two orders differ in where an item goes; everything else is the same test.
macro_rules! orders {
    ($name:ident, $Queue:ident, $insert:expr, $evict_at:expr) => {
        proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn $name(capacity in prop_oneof![Just(None), (1..9_usize).prop_map(Some)], ops in ops()) {
            let queue = capacity.map_or_else($Queue::unbounded, $Queue::bounded);
            let limit = capacity.unwrap_or(usize::MAX);
            // The next one is the first.
            let mut oracle: VecDeque<Item> = VecDeque::new();
            let insert: fn(&mut VecDeque<Item>, Item) = $insert;
            let evict_at: fn(&VecDeque<Item>) -> usize = $evict_at;
            let mut unfinished = 0_u64;
            let mut numbers = 0..;
            let mut item = |priority| Item { priority, number: numbers.next().unwrap() };
            let numbers_of =
                |items: &[Item]| items.iter().map(|item| item.number).collect::<Vec<_>>();
            for op in ops {
                match op {
                    Op::Put(priority) => {
                        let item = item(priority);
                        match queue.try_put(item) {
                            Ok(()) => {
                                prop_assert!(oracle.len() < limit);
                                insert(&mut oracle, item);
                                unfinished += 1;
                            }
                            Err(PutError::Full(back)) => {
                                prop_assert!(back.number == item.number && oracle.len() >= limit)
                            }
                            Err(other) => prop_assert!(false, "{other}"),
                        }
                    }
                    Op::ForcePut(priority) => {
                        let item = item(priority);
                        let full = oracle.len() >= limit;
                        insert(&mut oracle, item);
                        let expected = if full {
                            oracle.remove(evict_at(&oracle)).map(|item| item.number)
                        } else {
                            None
                        };
                        unfinished += u64::from(!full);
                        if full && unfinished == 0 {
                            // The put item adds one; the evicted item takes one off again.
                            prop_assert_eq!(queue.unfinished(), 0);
                        }
                        prop_assert_eq!(
                            queue.force_put(item).unwrap().map(|item| item.number),
                            expected
                        );
                    }
                    Op::PutMany(priorities) => {
                        let items: Vec<_> = priorities.into_iter().map(&mut item).collect();
                        let room = limit - oracle.len().min(limit);
                        let (fit, rest) = items.split_at(room.min(items.len()));
                        for &item in fit {
                            insert(&mut oracle, item);
                            unfinished += 1;
                        }
                        match queue.try_put_many(items.clone()) {
                            Ok(()) => prop_assert!(rest.is_empty()),
                            Err(why) => {
                                prop_assert_eq!(numbers_of(&why.into_inner()), numbers_of(rest))
                            }
                        }
                    }
                    Op::Get => {
                        let expected =
                            oracle.pop_front().map(|item| item.number).ok_or(GetError::Empty);
                        prop_assert_eq!(queue.try_get().map(|item| item.number), expected);
                    }
                    Op::GetMany(max) => {
                        let mut got = Vec::new();
                        let count = queue.try_get_many(&mut got, max).unwrap_or(0);
                        let expected: Vec<_> = oracle.drain(..max.min(oracle.len())).collect();
                        prop_assert_eq!(count, got.len());
                        prop_assert_eq!(numbers_of(&got), numbers_of(&expected));
                    }
                    Op::TaskDone => {
                        prop_assert_eq!(queue.task_done().is_ok(), unfinished > 0);
                        unfinished = unfinished.saturating_sub(1);
                    }
                }
                prop_assert_eq!(queue.len(), oracle.len());
                prop_assert_eq!(queue.unfinished(), unfinished);
            }
            let rest: Vec<_> = oracle.into_iter().collect();
            prop_assert_eq!(numbers_of(&queue.shutdown_now()), numbers_of(&rest));
        }
        }
    };
}

orders!(lifo, LifoQueue, |items, item| items.push_front(item), |items| items.len() - 1);
orders!(
    priority,
    PriorityQueue,
    |items, item| {
        let at =
            items.iter().position(|other| other.priority > item.priority).unwrap_or(items.len());
        items.insert(at, item);
    },
    |items| items.len() - 1
);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn spsc_is_a_queue(capacity in 1..9_usize, puts in vec(any::<bool>(), 0..200)) {
        let (mut producer, mut consumer) = spsc(capacity);
        let mut oracle = VecDeque::new();
        for (n, put) in puts.into_iter().enumerate() {
            if put {
                let expected = if oracle.len() < capacity {
                    oracle.push_back(n);
                    Ok(())
                } else {
                    Err(n)
                };
                prop_assert_eq!(producer.try_put(n), expected);
            } else {
                prop_assert_eq!(consumer.try_get(), oracle.pop_front());
            }
            prop_assert_eq!(consumer.is_empty(), oracle.is_empty());
            prop_assert_eq!(producer.is_full(), oracle.len() == capacity);
        }
    }
}
