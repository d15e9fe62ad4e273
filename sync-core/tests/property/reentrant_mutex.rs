//! A reentrant lock against a number: how often it is held.

use std::time::Duration;

use proptest::prelude::*;
use sync_core::{NotOwner, RawReentrantMutex, ReentrantMutex, ReentrantMutexGuard};

#[derive(Clone, Copy, Debug)]
enum Call {
    Lock,
    TryLock,
    TimedLock,
    Levels(u32),
    Unlock,
    UnlockFair,
    UnlockAll,
    Elsewhere,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => Just(Call::Lock),
        1 => Just(Call::TryLock),
        1 => Just(Call::TimedLock),
        1 => (0..4_u32).prop_map(Call::Levels),
        3 => Just(Call::Unlock),
        1 => Just(Call::UnlockFair),
        1 => Just(Call::UnlockAll),
        1 => Just(Call::Elsewhere),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn raw_reentrant_mutex_is_a_number(calls in prop::collection::vec(call(), 0..48)) {
        let lock = RawReentrantMutex::new();
        let mut depth = 0_u32;
        for call in calls {
            match call {
                Call::Lock => {
                    lock.lock();
                    depth += 1;
                }
                Call::TryLock => {
                    prop_assert!(lock.try_lock());
                    depth += 1;
                }
                Call::TimedLock => {
                    prop_assert!(lock.try_lock_for(Duration::ZERO));
                    depth += 1;
                }
                Call::Levels(more) => {
                    lock.lock_levels(more);
                    depth += more;
                }
                Call::Unlock | Call::UnlockFair => {
                    let expected = depth.checked_sub(1).ok_or(NotOwner).map(|less| depth = less);
                    let got = if matches!(call, Call::Unlock) {
                        lock.unlock()
                    } else {
                        lock.unlock_fair()
                    };
                    prop_assert_eq!(got, expected);
                }
                Call::UnlockAll => {
                    let expected =
                        if depth == 0 { Err(NotOwner) } else { Ok(std::mem::take(&mut depth)) };
                    prop_assert_eq!(lock.unlock_all(), expected);
                }
                Call::Elsewhere => {
                    let (got, there) = std::thread::scope(|scope| {
                        let other = scope.spawn(|| {
                            let got = lock.try_lock();
                            let there = lock.depth();
                            assert_eq!(lock.unlock().is_ok(), got);
                            (got, there)
                        });
                        other.join().unwrap()
                    });
                    prop_assert_eq!((got, there), (depth == 0, u32::from(depth == 0)));
                }
            }
            prop_assert_eq!(lock.depth(), depth);
            prop_assert_eq!(lock.is_locked(), depth > 0);
            prop_assert_eq!(lock.is_owned_by_current_thread(), depth > 0);
        }
    }

    #[test]
    fn guards_are_levels_in_whatever_order_they_go(
        keep in prop::collection::vec(any::<(bool, prop::sample::Index)>(), 0..48),
    ) {
        let lock = ReentrantMutex::new(());
        let mut guards: Vec<ReentrantMutexGuard<'_, ()>> = Vec::new();
        for (take, which) in keep {
            if take || guards.is_empty() {
                guards.push(lock.lock());
            } else {
                drop(guards.swap_remove(which.index(guards.len())));
            }
            prop_assert_eq!(lock.depth() as usize, guards.len());
        }
    }
}
