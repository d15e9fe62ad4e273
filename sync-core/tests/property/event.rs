//! Both events against a bool.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sync_core::{AutoResetEvent, Event};

#[derive(Clone, Copy, Debug)]
enum Call {
    Set,
    Clear,
    Wait,
    WaitFor,
    WaitUntil,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        Just(Call::Set),
        Just(Call::Clear),
        Just(Call::Wait),
        Just(Call::WaitFor),
        Just(Call::WaitUntil)
    ];
    prop::collection::vec(call, 0..64)
}

proptest! {
    #[test]
    fn event_is_a_bool(calls in calls()) {
        let event = Event::new();
        let past = Instant::now();
        let mut set = false;
        for call in calls {
            match call {
                Call::Set => {
                    event.set();
                    set = true;
                }
                Call::Clear => {
                    event.clear();
                    set = false;
                }
                Call::Wait if set => event.wait(),
                Call::Wait | Call::WaitFor => {
                    prop_assert_eq!(event.wait_timeout(Duration::from_micros(1)), set)
                }
                Call::WaitUntil => prop_assert_eq!(event.wait_deadline(past), set),
            }
            prop_assert_eq!(event.is_set(), set);
        }
    }

    #[test]
    fn auto_reset_event_is_a_bool_that_a_wait_takes(calls in calls()) {
        let event = AutoResetEvent::new();
        let past = Instant::now();
        let mut set = false;
        for call in calls {
            match call {
                Call::Set => {
                    event.set();
                    set = true;
                }
                Call::Clear => {
                    event.clear();
                    set = false;
                }
                Call::Wait if set => {
                    event.wait();
                    set = false;
                }
                Call::Wait => prop_assert_eq!(event.try_wait(), std::mem::take(&mut set)),
                Call::WaitFor => prop_assert_eq!(
                    event.wait_timeout(Duration::from_micros(1)),
                    std::mem::take(&mut set)
                ),
                Call::WaitUntil => {
                    prop_assert_eq!(event.wait_deadline(past), std::mem::take(&mut set))
                }
            }
            prop_assert_eq!(event.is_set(), set);
        }
    }
}
