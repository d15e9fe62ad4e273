//! A mutex against the most naive oracle: whether it is held, in a variable.

use std::time::Duration;

use proptest::prelude::*;
use sync_core::{Mutex, MutexGuard, NotLocked, RawMutex};

#[derive(Clone, Copy, Debug)]
enum Call {
    TryLock,
    TimedLock,
    Unlock,
    UnlockFair,
    Bump,
    Write(u8),
    Observe,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        Just(Call::TryLock),
        Just(Call::TimedLock),
        Just(Call::Unlock),
        Just(Call::UnlockFair),
        Just(Call::Bump),
        any::<u8>().prop_map(Call::Write),
        Just(Call::Observe),
    ]
}

proptest! {
    #[test]
    fn mutex_is_a_variable_with_an_owner(calls in prop::collection::vec(call(), 0..64)) {
        let lock = Mutex::new(0);
        let mut guard: Option<MutexGuard<'_, u8>> = None;
        let (mut held, mut data) = (false, 0);
        for call in calls {
            match call {
                Call::TryLock | Call::TimedLock => {
                    let got = match call {
                        Call::TryLock => lock.try_lock(),
                        _ => lock.try_lock_for(Duration::from_micros(1)),
                    };
                    prop_assert_eq!(got.is_some(), !held);
                    if got.is_some() {
                        (guard, held) = (got, true);
                    }
                }
                Call::Unlock => {
                    guard = None;
                    held = false;
                }
                Call::UnlockFair => {
                    if let Some(guard) = guard.take() {
                        MutexGuard::unlock_fair(guard);
                    }
                    held = false;
                }
                Call::Bump => {
                    if let Some(guard) = &mut guard {
                        MutexGuard::bump(guard);
                    }
                }
                Call::Write(value) => {
                    if let Some(guard) = &mut guard {
                        **guard = value;
                        data = value;
                    }
                }
                Call::Observe => {}
            }
            prop_assert_eq!(lock.is_locked(), held);
            prop_assert_eq!(guard.as_deref(), held.then_some(&data));
        }
        drop(guard);
        prop_assert_eq!(lock.into_inner(), data);
    }

    #[test]
    fn raw_mutex_is_a_bool(calls in prop::collection::vec(call(), 0..64)) {
        let lock = RawMutex::new();
        let mut held = false;
        for call in calls {
            match call {
                Call::TryLock => {
                    prop_assert_eq!(lock.try_lock(), !std::mem::replace(&mut held, true))
                }
                Call::TimedLock => {
                    prop_assert_eq!(
                        lock.try_lock_for(Duration::from_micros(1)),
                        !std::mem::replace(&mut held, true)
                    );
                }
                Call::Unlock | Call::UnlockFair => {
                    let expected = if std::mem::take(&mut held) { Ok(()) } else { Err(NotLocked) };
                    prop_assert_eq!(lock.unlock(), expected);
                }
                Call::Bump | Call::Write(_) | Call::Observe => {
                    prop_assert_eq!(lock.is_locked(), held)
                }
            }
        }
    }
}
