//! A limiter against a bucket into which a drop falls each nanosecond.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use sync_core::RateLimiter;

/// Nanoseconds between two tokens.
const INTERVAL: u64 = 7;

/// The bucket. While a request waits, the drops fall into the request.
struct Bucket {
    now: u64,
    full: u64,
    saved: u64,
    /// The drops that each waiting request still needs, in the order of the requests.
    waiting: VecDeque<u64>,
}

impl Bucket {
    fn pass(&mut self, time: u64) {
        for _ in 0..time {
            self.now += 1;
            match self.waiting.front_mut() {
                None => self.saved = (self.saved + 1).min(self.full),
                Some(needs) => {
                    *needs -= 1;
                    if *needs == 0 {
                        self.waiting.pop_front();
                    }
                }
            }
        }
    }

    /// Returns when a request for `n` tokens goes on; `None` if that is after `latest`.
    fn take(&mut self, n: u64, latest: u64) -> Option<u64> {
        if n == 0 {
            return Some(self.now);
        }
        let needs = (n * INTERVAL).saturating_sub(self.saved);
        let due = self.now + self.waiting.iter().sum::<u64>() + needs;
        if due > latest {
            return None;
        }
        self.saved -= n * INTERVAL - needs;
        if needs > 0 {
            self.waiting.push_back(needs);
        }
        Some(due)
    }
}

proptest! {
    #[test]
    fn a_limiter_is_a_bucket_into_which_it_drips(
        burst in 1..6_u32,
        calls in prop::collection::vec((0..3 * INTERVAL, 0..8_u32, 0..60_u64), 0..64),
    ) {
        let limit = RateLimiter::new(1, Duration::from_nanos(INTERVAL)).burst(burst);
        // The limiter's clock begins when the bucket is full.
        let full = u64::from(burst) * INTERVAL;
        let mut bucket = Bucket { now: full, full, saved: full, waiting: VecDeque::new() };
        for (passed, n, patience) in calls {
            bucket.pass(passed);
            // One request in six waits as long as it takes.
            let latest = if patience < 10 { u64::MAX } else { bucket.now + patience - 10 };
            let due = limit.take_at(n, bucket.now, latest).map(|due| due.max(bucket.now));
            prop_assert_eq!(due, bucket.take(u64::from(n), latest), "at {}", bucket.now);
        }
    }
}
