//! A token bucket: no token is given twice, and a request that gives up takes none.

use std::time::Duration;

use sync_core::RateLimiter;

use crate::support::{Arc, Body, Tracked, with};

/// Nanoseconds between two tokens of a bucket for one.
const INTERVAL: u64 = 10;

struct Bucket {
    limit: RateLimiter,
    due: [Tracked; 3],
}

fn bucket() -> Arc<Bucket> {
    let limit = RateLimiter::new(1, Duration::from_nanos(INTERVAL));
    Arc::new(Bucket { limit, due: [(); 3].map(|()| Tracked::new(0)) })
}

/// Takes a token at the time at which the bucket is full, if it is due by `latest`.
fn takes(shared: &Arc<Bucket>, place: usize, latest: u64) -> Body {
    with(shared, move |it| {
        let due = it.limit.take_at(1, INTERVAL, latest);
        it.due[place].set(due.unwrap_or(0) as u32);
    })
}

fn sorted(shared: &Arc<Bucket>) -> [u32; 3] {
    let mut due = [0, 1, 2].map(|place| shared.due[place].get());
    due.sort_unstable();
    due
}

model! {
    /// Three requests at one moment are due one interval after the other.
    fn three_requests_are_due_one_after_the_other(order) whole {
        let shared = bucket();
        order.run([0, 1, 2].map(|place| takes(&shared, place, u64::MAX)));
        assert_eq!(sorted(&shared), [10, 20, 30]);
    }
}

model! {
    /// Two that want the token at once beside one that has time: one of the two gets it, or the
    /// third had come before, and a refusal delays no request.
    fn a_request_that_is_refused_takes_nothing(order) {
        let shared = bucket();
        let bodies = [
            takes(&shared, 0, INTERVAL),
            takes(&shared, 1, INTERVAL),
            takes(&shared, 2, u64::MAX),
        ];
        order.run(bodies);
        assert!(matches!(sorted(&shared), [0, 0, 10] | [0, 10, 20]));
    }
}

model! {
    /// A task that gives up gives its token back only if no request came after it: the moments of
    /// the requests that stay are an interval apart, and at most one moment is left out.
    fn a_token_that_is_given_back_moves_no_other_request(order) whole {
        let shared = bucket();
        let gives_back = with(&shared, |it| {
            let due = it.limit.take_at(1, INTERVAL, u64::MAX).expect("no limit");
            it.limit.give_back(1, due);
        });
        order.run([gives_back, takes(&shared, 1, u64::MAX), takes(&shared, 2, u64::MAX)]);
        let next = shared.limit.take_at(1, INTERVAL, u64::MAX).expect("no limit") as u32;
        let [_, first, second] = sorted(&shared);
        assert!(second >= first + 10 && next == second + 10 && matches!(next, 30 | 40));
    }
}
