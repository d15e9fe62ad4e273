//! A fair mutex used by one thread against a bool: without other threads it neither queues nor
//! requests a yield.

use std::time::Duration;

use proptest::prelude::*;
use sync_core::{NotLocked, RawFairMutex};

proptest! {
    #[test]
    fn raw_fair_mutex_is_a_bool(calls in prop::collection::vec(0..5_u8, 0..64)) {
        let lock = RawFairMutex::with_interval(Duration::from_micros(1));
        let mut held = false;
        for call in calls {
            match call {
                0 => prop_assert_eq!(lock.try_lock(), !std::mem::replace(&mut held, true)),
                1 => prop_assert_eq!(
                    lock.try_lock_for(Duration::from_micros(20)),
                    !std::mem::replace(&mut held, true)
                ),
                2 => prop_assert_eq!(
                    lock.unlock(),
                    if std::mem::take(&mut held) { Ok(()) } else { Err(NotLocked) }
                ),
                3 if held => prop_assert!(!lock.yield_now()),
                _ => {}
            }
            prop_assert_eq!((lock.is_locked(), lock.should_yield()), (held, false));
        }
    }
}
