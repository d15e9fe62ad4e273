//! Latch, WaitGroup and Parker against a number, a number and a bool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sync_core::{Latch, Parker, WaitGroup};

const MOMENT: Duration = Duration::from_micros(1);

proptest! {
    #[test]
    fn latch_is_a_number(first in 0..20_u32, steps in prop::collection::vec(0..5_u32, 0..20)) {
        let latch = Latch::new(first);
        let mut left = first;
        for step in steps {
            match left.checked_sub(step) {
                Some(rest) => {
                    latch.count_down(step);
                    left = rest;
                }
                None => {
                    // Not printed: it is expected.
                    let hook = std::panic::take_hook();
                    std::panic::set_hook(Box::new(|_| ()));
                    let panicked =
                        catch_unwind(AssertUnwindSafe(|| latch.count_down(step))).is_err();
                    std::panic::set_hook(hook);
                    prop_assert!(panicked);
                }
            }
            prop_assert_eq!(latch.count(), left);
            prop_assert_eq!(latch.is_open(), left == 0);
            prop_assert_eq!(latch.wait_timeout(MOMENT), left == 0);
        }
    }

    #[test]
    fn wait_group_is_a_number(steps in prop::collection::vec(0..4_u8, 0..40)) {
        let mut groups = vec![WaitGroup::new()];
        let mut count = 1;
        for step in steps {
            match step {
                0 => {
                    groups.push(groups[0].clone());
                    count += 1;
                }
                1 if count > 1 => {
                    groups.pop().unwrap().done();
                    count -= 1;
                }
                2 => match groups.pop().unwrap().wait_timeout(MOMENT) {
                    Ok(()) => {
                        prop_assert_eq!(count, 1);
                        groups.push(WaitGroup::new());
                    }
                    Err(group) => {
                        prop_assert!(count > 1);
                        groups.push(group);
                    }
                },
                _ => {}
            }
            prop_assert_eq!(groups[0].count(), count);
        }
    }

    #[test]
    fn parker_is_a_bool(steps in prop::collection::vec(0..4_u8, 0..40)) {
        let parker = Parker::new();
        let past = Instant::now();
        let mut token = false;
        for step in steps {
            match step {
                0 => {
                    parker.unparker().unpark();
                    token = true;
                }
                1 if token => {
                    parker.park();
                    token = false;
                }
                2 => prop_assert_eq!(parker.park_deadline(past), std::mem::take(&mut token)),
                _ => prop_assert_eq!(parker.park_timeout(MOMENT), std::mem::take(&mut token)),
            }
        }
    }
}
