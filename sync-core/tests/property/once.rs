//! A once-cell against an `Option`.

use proptest::prelude::*;
use sync_core::{Once, OnceLock};

#[derive(Clone, Copy, Debug)]
enum Call {
    Get,
    Set(u8),
    Init(u8),
    Fail(u8),
    Take,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        Just(Call::Get),
        any::<u8>().prop_map(Call::Set),
        any::<u8>().prop_map(Call::Init),
        any::<u8>().prop_map(Call::Fail),
        Just(Call::Take),
    ]
}

proptest! {
    #[test]
    fn once_lock_is_an_option(calls in prop::collection::vec(call(), 0..48)) {
        let (mut cell, mut naive) = (OnceLock::new(), None);
        for call in calls {
            match call {
                Call::Get => prop_assert_eq!(cell.get(), naive.as_ref()),
                Call::Set(value) => {
                    let expected = if naive.is_none() { Ok(()) } else { Err(value) };
                    prop_assert_eq!(cell.set(value), expected);
                    naive.get_or_insert(value);
                }
                Call::Init(value) => {
                    prop_assert_eq!(cell.get_or_init(|| value), naive.get_or_insert(value))
                }
                Call::Fail(error) => prop_assert_eq!(
                    cell.get_or_try_init(|| Err(error)),
                    naive.as_ref().ok_or(error)
                ),
                Call::Take => prop_assert_eq!(cell.take(), naive.take()),
            }
        }
        prop_assert_eq!(cell.into_inner(), naive);
    }

    #[test]
    fn once_counts_to_one(calls in prop::collection::vec(any::<bool>(), 0..16)) {
        let (once, mut times) = (Once::new(), 0);
        for (at, force) in calls.into_iter().enumerate() {
            if force {
                once.call_once_force(|state| times += 1 + i32::from(state.is_poisoned()));
            } else {
                once.call_once(|| times += 1);
            }
            prop_assert_eq!((times, once.is_completed()), (1, true), "after call {}", at);
        }
    }
}
