//! Semaphores against the most naive ones there are: a number, and a number with a bound.

use std::time::Duration;

use proptest::prelude::*;
use sync_core::{
    BoundedSemaphore, OverRelease, Permit, RawSemaphore, Semaphore, TooManyPermits, TryAcquireError,
};

#[derive(Clone, Copy, Debug)]
enum Call {
    Try(u32),
    Timed(u32),
    Release(u32),
    DropOne,
    ForgetOne,
    MergeTwo,
    SplitOne(u32),
    Close,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..4_u32).prop_map(Call::Try),
        4 => (0..4_u32).prop_map(Call::Timed),
        3 => prop_oneof![0..4_u32, Just(u32::MAX), Just(RawSemaphore::MAX_PERMITS)]
            .prop_map(Call::Release),
        3 => Just(Call::DropOne),
        1 => Just(Call::ForgetOne),
        1 => Just(Call::MergeTwo),
        1 => (0..4_u32).prop_map(Call::SplitOne),
        1 => Just(Call::Close),
    ]
}

/// The answer of the number to a request.
fn expected(permits: &mut u32, closed: bool, n: u32) -> Result<(), TryAcquireError> {
    if closed {
        return Err(TryAcquireError::Closed);
    }
    *permits = permits.checked_sub(n).ok_or(TryAcquireError::NoPermits)?;
    Ok(())
}

/// A request that may wait gives up because its time is up.
fn in_words_of(call: &Call, got: Result<(), TryAcquireError>) -> Result<(), TryAcquireError> {
    match (call, got) {
        (Call::Timed(_), Err(TryAcquireError::NoPermits)) => Err(TryAcquireError::TimedOut),
        _ => got,
    }
}

proptest! {
    #[test]
    fn semaphore_is_a_number_and_a_list_of_permits(
        first in 0..5_u32,
        calls in prop::collection::vec(call(), 0..64),
    ) {
        let semaphore = Semaphore::new(first);
        let mut guards: Vec<Permit<'_>> = Vec::new();
        let (mut permits, mut held, mut closed) = (first, Vec::<u32>::new(), false);
        for call in calls {
            match call {
                Call::Try(n) | Call::Timed(n) => {
                    let got = match call {
                        Call::Try(_) => semaphore.try_acquire_many(n),
                        _ => semaphore.try_acquire_many_for(n, Duration::from_micros(1)),
                    };
                    let expected = expected(&mut permits, closed, n);
                    let expected = in_words_of(&call, expected);
                    prop_assert_eq!(
                        got.as_ref().map(Permit::count).map_err(|error| *error),
                        expected.map(|()| n)
                    );
                    if let Ok(guard) = got {
                        guards.push(guard);
                        held.push(n);
                    }
                }
                Call::Release(n) if n <= 4 => {
                    semaphore.add_permits(n);
                    permits += n;
                }
                Call::Release(_) => {}
                Call::DropOne => {
                    guards.pop();
                    permits += held.pop().unwrap_or(0);
                }
                Call::ForgetOne => {
                    if let Some(guard) = guards.pop() {
                        guard.forget();
                    }
                    held.pop();
                }
                Call::MergeTwo if guards.len() > 1 => {
                    let (guard, count) = (guards.pop().unwrap(), held.pop().unwrap());
                    guards.last_mut().unwrap().merge(guard);
                    *held.last_mut().unwrap() += count;
                }
                Call::SplitOne(n) if !guards.is_empty() => {
                    let part = guards.last_mut().unwrap().split(n);
                    let last = held.last_mut().unwrap();
                    prop_assert_eq!(part.is_some(), *last >= n);
                    if let Some(part) = part {
                        *last -= n;
                        guards.push(part);
                        held.push(n);
                    }
                }
                Call::MergeTwo | Call::SplitOne(_) => {}
                Call::Close => {
                    semaphore.close();
                    closed = true;
                }
            }
            prop_assert_eq!(semaphore.available_permits(), permits);
            prop_assert_eq!(guards.iter().map(Permit::count).collect::<Vec<_>>(), held.clone());
            prop_assert_eq!(semaphore.is_closed(), closed);
        }
        drop(guards);
        prop_assert_eq!(semaphore.available_permits(), permits + held.iter().sum::<u32>());
    }

    #[test]
    fn bounded_semaphore_is_a_number_with_a_bound(
        bound in 0..5_u32,
        calls in prop::collection::vec(call(), 0..64),
    ) {
        let semaphore = BoundedSemaphore::new(bound);
        let (mut permits, mut closed) = (bound, false);
        for call in calls {
            match call {
                Call::Try(n) => {
                    let got = semaphore.try_acquire_many(n).map(|permit| permit.forget());
                    prop_assert_eq!(got, expected(&mut permits, closed, n));
                }
                Call::Timed(n) if n <= bound => {
                    let got = semaphore
                        .try_acquire_many_for(n, Duration::from_micros(1))
                        .map(|permit| permit.forget());
                    let expected = expected(&mut permits, closed, n);
                    prop_assert_eq!(got, in_words_of(&call, expected));
                }
                Call::Release(n) => {
                    let expected = match permits.checked_add(n) {
                        Some(sum) if sum <= bound => Ok(sum),
                        _ => Err(OverRelease),
                    };
                    prop_assert_eq!(semaphore.release(n), expected.map(|_| ()));
                    permits = expected.unwrap_or(permits);
                }
                Call::Close => {
                    semaphore.close();
                    closed = true;
                }
                _ => {}
            }
            prop_assert_eq!(semaphore.available_permits(), permits);
        }
    }

    #[test]
    fn raw_semaphore_never_overflows(
        first in any::<u32>(),
        more in prop::collection::vec(any::<u32>(), 0..16),
    ) {
        let mut permits = first % (RawSemaphore::MAX_PERMITS + 1);
        let semaphore = RawSemaphore::new(permits);
        for n in more {
            let expected = match permits.checked_add(n) {
                Some(sum) if sum <= RawSemaphore::MAX_PERMITS => Ok(sum),
                _ => Err(TooManyPermits),
            };
            prop_assert_eq!(semaphore.release(n), expected.map(|_| ()));
            permits = expected.unwrap_or(permits);
            prop_assert_eq!(semaphore.available_permits(), permits);
            let expected = expected_take(&mut permits, n);
            prop_assert_eq!(semaphore.try_acquire(n).is_ok(), expected);
        }
    }
}

fn expected_take(permits: &mut u32, n: u32) -> bool {
    expected(permits, false, n).is_ok()
}
