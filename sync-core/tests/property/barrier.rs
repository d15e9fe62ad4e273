//! A barrier, driven by one thread, against a count and a flag.

use std::time::Duration;

use proptest::prelude::*;
use sync_core::Barrier;

#[derive(Clone, Copy, Debug)]
enum Call {
    /// One of the parties arrives in a thread of its own and stays until the cycle ends.
    Arrive,
    /// A party arrives whose time is up at once.
    GiveUp,
    Abort,
    Reset,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn barrier_is_a_count_and_a_flag(
        parties in 1..4_u32,
        calls in prop::collection::vec(
            prop_oneof![
                4 => Just(Call::Arrive),
                1 => Just(Call::GiveUp),
                1 => Just(Call::Abort),
                2 => Just(Call::Reset),
            ],
            0..24,
        ),
    ) {
        let barrier = Barrier::new(parties);
        let (mut waiting, mut broken) = (0, false);
        std::thread::scope(|scope| {
            // The threads that wait, whose outcome is known as soon as the oracle ends the cycle.
            let mut members = Vec::new();
            let end = |members: &mut Vec<std::thread::ScopedJoinHandle<'_, bool>>,
                       success: bool| {
                members.drain(..).all(|member| member.join().unwrap() == success)
            };
            for call in calls {
                match call {
                    Call::Arrive if !broken => {
                        let expected = waiting;
                        waiting += 1;
                        if waiting == parties {
                            let place = barrier.wait().unwrap();
                            prop_assert_eq!((place.index(), place.is_leader()), (expected, true));
                            waiting = 0;
                            prop_assert!(end(&mut members, true));
                        } else {
                            let barrier = &barrier;
                            members.push(scope.spawn(move || {
                                barrier.wait().map(|place| place.index()) == Ok(expected)
                            }));
                            while barrier.waiting() != waiting {
                                std::thread::yield_now();
                            }
                        }
                    }
                    Call::Arrive => prop_assert!(barrier.wait().is_err()),
                    Call::GiveUp => {
                        let outcome = barrier.wait_timeout(Duration::ZERO);
                        let passes = !broken && waiting + 1 == parties;
                        prop_assert_eq!(outcome.is_ok(), passes);
                        broken = !passes;
                        waiting = 0;
                        prop_assert!(end(&mut members, passes));
                    }
                    Call::Abort => {
                        barrier.abort();
                        (waiting, broken) = (0, true);
                        prop_assert!(end(&mut members, false));
                    }
                    Call::Reset => {
                        barrier.reset();
                        (waiting, broken) = (0, false);
                        prop_assert!(end(&mut members, false));
                    }
                }
                prop_assert_eq!((barrier.waiting(), barrier.is_broken()), (waiting, broken));
            }
            barrier.abort();
            prop_assert!(end(&mut members, false));
            Ok(())
        })?;
    }
}
