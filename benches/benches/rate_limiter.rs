//! RateLimiter beside its peer: the workloads of `cargo compare`, under Criterion.

mod support;

fn main() {
    support::run(sync_benches::workloads::rate_limiter::workloads());
}
