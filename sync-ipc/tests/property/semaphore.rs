//! The semaphores next to three numbers: free, held, forgotten.

use proptest::prelude::*;
use sync_ipc::{BoundedSemaphore, Permit, Segment, Semaphore, TooManyReleases};

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire,
    Release(usize),
    Forget(usize),
    Add,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Acquire),
        3 => any::<usize>().prop_map(Step::Release),
        2 => any::<usize>().prop_map(Step::Forget),
        2 => Just(Step::Add),
    ]
}

proptest! {
    #[test]
    fn as_three_numbers(
        permits in 0_usize..6,
        more in 0_usize..4,
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let most = permits + more;
        prop_assume!(most > 0);
        let segment = Segment::anonymous(4096).expect("a segment");
        let semaphore = Semaphore::create(&segment, "semaphore", permits, most).expect("room");
        let (mut free, mut held) = (permits, Vec::<Permit<'_>>::new());
        for step in steps {
            match step {
                Step::Acquire => {
                    let got = semaphore.try_acquire();
                    prop_assert_eq!(got.is_ok(), free > 0);
                    free -= usize::from(got.is_ok());
                    held.extend(got);
                }
                Step::Release(which) if !held.is_empty() => {
                    drop(held.swap_remove(which % held.len()));
                    free += 1;
                }
                Step::Forget(which) if !held.is_empty() => {
                    held.swap_remove(which % held.len()).forget();
                }
                Step::Release(_) | Step::Forget(_) => {}
                Step::Add => {
                    let room = free + held.len() < most;
                    let expected = if room { Ok(()) } else { Err(TooManyReleases) };
                    prop_assert_eq!(semaphore.try_add_permits(1), expected);
                    free += usize::from(room);
                }
            }
            prop_assert_eq!(semaphore.available_permits(), free);
        }
    }

    #[test]
    fn bounded_as_three_numbers(
        permits in 1_usize..6,
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let segment = Segment::anonymous(4096).expect("a segment");
        let semaphore = BoundedSemaphore::create(&segment, "semaphore", permits).expect("room");
        let (mut forgotten, mut held) = (0, Vec::<Permit<'_>>::new());
        for step in steps {
            match step {
                Step::Acquire => {
                    let got = semaphore.try_acquire();
                    prop_assert_eq!(got.is_ok(), held.len() + forgotten < permits);
                    held.extend(got);
                }
                Step::Release(which) if !held.is_empty() => {
                    drop(held.swap_remove(which % held.len()));
                }
                Step::Forget(which) if !held.is_empty() => {
                    held.swap_remove(which % held.len()).forget();
                    forgotten += 1;
                }
                Step::Release(_) | Step::Forget(_) => {}
                Step::Add => {
                    prop_assert_eq!(semaphore.release().is_ok(), forgotten > 0);
                    forgotten = forgotten.saturating_sub(1);
                }
            }
            prop_assert_eq!(semaphore.available_permits(), permits - held.len() - forgotten);
        }
    }
}
