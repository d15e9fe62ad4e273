//! That a token reaches the parker, once, with everything that was written before it.

use std::time::Duration;

use sync_core::Parker;

use crate::support::{Arc, Tracked, body};

model! {
    /// One token, one park, and the news.
    fn one_token(order) {
        let (parker, news) = (Parker::new(), Arc::new(Tracked::new(0)));
        let (unparker, theirs) = (parker.unparker().clone(), Arc::clone(&news));
        order.run([
            body(move || {
                parker.park();
                assert_eq!(news.get(), 1);
            }),
            body(move || {
                theirs.set(1);
                unparker.unpark();
            }),
        ]);
    }
}

model! {
    /// A park that may time out: whether it took the token it knows, and if not the token is still
    /// there.
    fn timeout_loses_no_token(order) {
        let parker = Parker::new();
        let unparker = parker.unparker().clone();
        order.run([
            body(move || if !parker.park_timeout(Duration::from_millis(1)) {
                parker.park();
            }),
            body(move || unparker.unpark()),
        ]);
    }
}

model! {
    /// Two threads unpark: the token may be one or two, and what both wrote before is seen after
    /// two parks at the latest.
    fn two_unparkers(order) whole {
        let parker = Parker::new();
        let news = Arc::new([Tracked::new(0), Tracked::new(0)]);
        let unparks = |me: usize| {
            let (unparker, news) = (parker.unparker().clone(), Arc::clone(&news));
            body(move || {
                news[me].set(1);
                unparker.unpark();
            })
        };
        let (one, two) = (unparks(0), unparks(1));
        let parks = body(move || {
            parker.park();
            let _ = parker.park_timeout(Duration::from_millis(1));
        });
        order.run([parks, one, two]);
    }
}

model! {
    /// A token given twice with news both times: the thread that takes it sees both, because the
    /// second unpark writes although the token is there.
    fn the_second_unpark_brings_its_news(order) {
        let parker = Parker::new();
        let news = Arc::new((Tracked::new(0), sync_core::primitive::atomic::AtomicU32::new(0)));
        let (unparker, theirs) = (parker.unparker().clone(), Arc::clone(&news));
        unparker.unpark();
        order.run([
            body(move || {
                theirs.1.store(1, core::sync::atomic::Ordering::Relaxed);
                unparker.unpark();
            }),
            body(move || {
                parker.park();
                // Either this park took both in one, and then it sees the news; or the token is
                // there again.
                let seen = news.1.load(core::sync::atomic::Ordering::Relaxed);
                if seen == 0 {
                    parker.park();
                    news.0.set(1);
                }
            }),
        ]);
    }
}
