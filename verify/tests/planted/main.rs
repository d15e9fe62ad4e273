//! Planted bugs: eight structures that every implementer gets wrong once, each right and with its
//! classic mistakes.
//!
//! The right ones must pass and each mistake must be found, whichever thread is spawned first, with
//! a counterexample of a page or less. Nodes live in arenas that outlast the model's threads: to
//! free one is a write to its cell, so that using it after that is a race.

/// The structures above one checker; `checker` has loom's paths.
mod verified {
    use verify as checker;
    use verify::model::Builder;

    /// Returns what is wrong with the model, if anything. Several workers come to the same verdict.
    fn explore(model: impl Fn() + Copy + Send + Sync + 'static) -> Option<String> {
        let mut parallel = Builder::new();
        (parallel.workers, parallel.count_distinct) = (3, true);
        let mut serial = parallel.clone();
        serial.workers = 1;
        let (serial, parallel) = (serial.explore(model), parallel.explore(model));
        assert_eq!(serial.failure.is_some(), parallel.failure.is_some());
        assert_eq!(serial.distinct, Some(serial.executions));
        if serial.failure.is_none() {
            assert_eq!(
                (parallel.executions, parallel.distinct),
                (serial.executions, serial.distinct)
            );
        }
        serial.failure.map(|failure| failure.to_string())
    }

    mod chase_lev;
    mod condvar;
    mod futex_mutex;
    mod hazard;
    mod michael_scott;
    mod seqlock;
    mod spsc;
    mod support;
    mod treiber;
}
