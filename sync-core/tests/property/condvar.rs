//! A condition variable against a counter: of threads that wait for their ticket to be called,
//! those and only those go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;
use sync_core::{Condvar, Mutex};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Raises the number that is being served, and notifies all.
    Serve(usize),
    /// Notifies a thread although nothing changed.
    Disturb(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(1..3_usize).prop_map(Step::Serve), (0..4_u32).prop_map(Step::Disturb)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn condvar_lets_on_those_whose_number_was_called(
        tickets in prop::collection::vec(0..6_usize, 1..5),
        steps in prop::collection::vec(step(), 0..8),
    ) {
        let (serving, called, through) = (Mutex::new(0), Condvar::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for &ticket in &tickets {
                let (serving, called, through) = (&serving, &called, &through);
                scope.spawn(move || {
                    let mut now = serving.lock();
                    called.wait_while(&mut now, |now| *now < ticket);
                    assert!(*now >= ticket);
                    through.fetch_add(1, Ordering::SeqCst);
                });
            }
            let mut oracle = 0;
            for step in steps {
                match step {
                    Step::Serve(more) => {
                        oracle += more;
                        *serving.lock() = oracle;
                        called.notify_all();
                    }
                    Step::Disturb(count) => {
                        assert!(called.notify_many(count) <= count as usize);
                    }
                }
                let expected = tickets.iter().filter(|&&ticket| ticket <= oracle).count();
                while through.load(Ordering::SeqCst) < expected {
                    thread::yield_now();
                }
                assert_eq!(
                    through.load(Ordering::SeqCst),
                    expected,
                    "a thread went on without a call"
                );
            }
            *serving.lock() = usize::MAX;
            called.notify_all();
        });
        prop_assert_eq!(through.load(Ordering::SeqCst), tickets.len());
    }
}
