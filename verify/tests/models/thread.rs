//! That the outcome of a thread reaches every joiner.

use std::time::Duration;

use sync_core::thread::{Group, JoinError, scope, spawn};

use crate::support::{Arc, Tracked, with};

model! {
    /// Two threads join, and one of them may give up; both see the result, and everything the
    /// thread wrote.
    fn every_joiner_sees_what_the_thread_wrote(order) {
        let data = Arc::new(Tracked::new(0));
        let theirs = Arc::clone(&data);
        let handle = spawn(move || {
            theirs.set(1);
            7_u32
        }).unwrap();
        let shared = (handle, data);
        let joins = with(&shared, |(handle, data)| {
            assert_eq!(handle.join(), Ok(&7));
            assert_eq!(data.get(), 1);
        });
        let joins_in_time =
            with(&shared, |(handle, data)| match handle.join_timeout(Duration::from_millis(1)) {
                Ok(value) => assert_eq!((*value, data.get()), (7, 1)),
                Err(error) => assert_eq!(error, JoinError::TimedOut),
            });
        order.run([joins, joins_in_time]);
    }
}

model! {
    /// A caller that sees that a thread is not alive any more sees what it did, and may be the one
    /// that gets the result itself.
    fn not_alive_is_as_good_as_joined(order) {
        let data = Arc::new(Tracked::new(0));
        let theirs = Arc::clone(&data);
        let handle = spawn(move || theirs.set(1)).unwrap();
        let looks = with(&(handle, data), |(handle, data)| if !handle.is_alive() {
            assert_eq!(data.get(), 1);
        });
        order.run([looks]);
    }
}

model! {
    /// A group waits for a member, and for the one that the member starts.
    fn group_waits_for_all(order) whole {
        let data = Arc::new(Tracked::new(0));
        let runs = with(&data, |data| {
            let group = Group::new();
            let (inside, theirs) = (group.handle(), Arc::clone(&data));
            group.spawn(move || {
                inside.spawn(move || theirs.set(1)).unwrap();
            }).unwrap();
            drop(group);
            assert_eq!(data.get(), 1);
        });
        order.run([runs]);
    }
}

model! {
    /// Every thread with the handle may ask for the number at once: it never waits, and a thread
    /// that has a number has the system's number too.
    fn a_thread_with_a_number_has_the_systems_number(order) whole {
        let handle = spawn(|| ()).unwrap();
        let asks = || with(&handle, |handle| {
            if handle.ident().is_some() {
                assert!(handle.native_id().is_some());
            }
        });
        order.run([asks(), asks()]);
        assert_eq!(handle.join(), Ok(&()));
        assert!(handle.ident().is_some());
    }
}

model! {
    /// A scope waits for a thread, and for the one that the thread starts: what both wrote on the
    /// stack of the scope is seen after it.
    fn a_scope_waits_for_all(order) {
        let shared = Arc::new(());
        let runs = with(&shared, |_| {
            let (first, second) = (Tracked::new(0), Tracked::new(0));
            scope(|scope| {
                let (first, second) = (&first, &second);
                scope.spawn(move || {
                    scope.spawn(move || second.set(1)).unwrap();
                    first.set(1);
                }).unwrap();
            });
            assert_eq!((first.get(), second.get()), (1, 1));
        });
        order.run([runs]);
    }
}
