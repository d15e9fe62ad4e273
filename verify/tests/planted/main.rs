//! Planted bugs: eight structures that every implementer gets wrong once, each right and with its classic mistakes.
//!
//! The right ones must pass and each mistake must be found, whichever thread is spawned first, with a counterexample of a page or less.
//! Nodes live in arenas that outlast the model's threads: to free one is a write to its cell, so that using it after that is a race.

/// The structures above one checker; `checker` has loom's paths.
mod verified {
    use verify as checker;
    use verify::model::Builder;

    /// What is wrong with the model, if anything.
    fn explore(model: impl Fn() + Send + Sync + 'static) -> Option<String> {
        Builder::new()
            .explore(model)
            .failure
            .map(|failure| failure.to_string())
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
