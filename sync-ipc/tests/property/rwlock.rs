//! The readers-writer lock next to a number of readers, a flag and a value.

use proptest::prelude::*;
use sync_ipc::{RwLock, RwLockReadGuard, RwLockWriteGuard, Segment};

#[derive(Clone, Copy, Debug)]
enum Step {
    Read,
    Write,
    Set(u64),
    EndRead(usize),
    EndWrite,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Read),
        3 => Just(Step::Write),
        3 => any::<u64>().prop_map(Step::Set),
        4 => any::<usize>().prop_map(Step::EndRead),
        3 => Just(Step::EndWrite),
    ]
}

proptest! {
    #[test]
    fn as_a_count_and_a_flag(
        most in 1_usize..6,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let segment = Segment::anonymous(4096).expect("a segment");
        let lock = RwLock::with_readers(&segment, "lock", most, 0_u64).expect("room");
        let mut readers: Vec<RwLockReadGuard<'_, u64>> = Vec::new();
        let mut writer: Option<RwLockWriteGuard<'_, u64>> = None;
        let mut value = 0;
        for step in steps {
            match step {
                Step::Read => {
                    let got = lock.try_read();
                    prop_assert_eq!(got.is_ok(), writer.is_none() && readers.len() < most);
                    readers.extend(got);
                }
                Step::Write => {
                    let got = lock.try_write();
                    prop_assert_eq!(got.is_ok(), writer.is_none() && readers.is_empty());
                    writer = writer.or(got.ok());
                }
                Step::Set(new) => {
                    if let Some(guard) = &mut writer {
                        guard.set(new);
                        value = new;
                    }
                }
                Step::EndRead(which) if !readers.is_empty() => {
                    drop(readers.swap_remove(which % readers.len()));
                }
                Step::EndRead(_) => {}
                Step::EndWrite => writer = None,
            }
            prop_assert!(readers.iter().all(|guard| guard.get() == value));
            prop_assert!(writer.iter().all(|guard| guard.get() == value));
        }
    }
}
