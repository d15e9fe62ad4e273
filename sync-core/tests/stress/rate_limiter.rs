//! A limiter under threads: none goes on before its token is due, and a refusal takes no token.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use sync_core::RateLimiter;

use crate::watchdog::watch;

#[test]
fn many_threads_keep_the_rate() {
    const INTERVAL: Duration = Duration::from_micros(20);
    const BURST: u32 = 8;
    let _watch = watch();
    let limit = RateLimiter::new(1, INTERVAL).burst(BURST);
    let (began, went_on) = (Instant::now(), Mutex::new(Vec::<Instant>::new()));
    thread::scope(|scope| {
        for me in 0..4 {
            let (limit, went_on) = (&limit, &went_on);
            scope.spawn(move || {
                let mut mine = Vec::<Instant>::new();
                for round in 0..500 {
                    let got = match (round + me) % 4 {
                        0 => limit.acquire().is_ok(),
                        1 => limit.try_acquire_for(INTERVAL).is_ok(),
                        2 => limit.try_acquire().is_ok(),
                        _ => limit.try_acquire_many_for(2, INTERVAL * 3).is_ok(),
                    };
                    let tokens = if (round + me) % 4 == 3 { 2 } else { 1 };
                    if got {
                        mine.extend([Instant::now(); 2].iter().take(tokens));
                    }
                }
                went_on.lock().unwrap().extend(mine);
            });
        }
    });
    let mut went_on = went_on.into_inner().unwrap();
    went_on.sort_unstable();
    assert!(went_on.len() >= 4 * 125, "those that wait as long as it takes have all gone on");
    for (tokens, at) in (1..).zip(&went_on) {
        let earliest = INTERVAL * u32::saturating_sub(tokens, BURST);
        assert!(at.duration_since(began) >= earliest, "{tokens} tokens at {:?}", *at - began);
    }
}

#[test]
fn a_close_ends_every_wait() {
    let _watch = watch();
    for _ in 0..200 {
        let limit = RateLimiter::new(1, Duration::from_secs(3600));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| while limit.acquire().is_ok() {});
            }
            scope.spawn(|| limit.close());
        });
        assert!(limit.acquire().is_err());
    }
}
