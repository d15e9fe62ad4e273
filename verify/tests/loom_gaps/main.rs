//! Bugs that loom 0.7.2 misses are found, and what it wrongly reports is not reported.
//!
//! Each model is compiled twice, above this checker and above loom, from the same source
//! (`models.rs`). Both verdicts are asserted: ours is what Rust's memory model and its standard
//! library say, loom's is what made us write this. A test that fails because loom has learned is
//! good news: correct its line.
//!
//! `beyond.rs` has what cannot be written above loom at all.

#![expect(clippy::duplicate_mod, reason = "the same models under two checkers")]

mod looms;
mod ours;

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Passes,
    /// For a reason that contains this.
    Fails(&'static str),
}
use Verdict::{Fails, Passes};

#[track_caller]
fn expect(who: &str, found: Option<String>, expected: Verdict) {
    match (found, expected) {
        (None, Passes) => {}
        (Some(failure), Fails(reason)) if failure.contains(reason) => {}
        (None, Fails(reason)) => panic!("{who} passes a model that fails: {reason}"),
        (Some(failure), _) => panic!("{who} should say {expected:?}, not\n{failure}"),
    }
}

/// `name: ours, loom's;` each.
macro_rules! gaps {
    ($($(#[$doc:meta])* $name:ident: $ours:expr, $looms:expr;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            expect("this checker", ours::explore(ours::models::$name), $ours);
            expect("loom", looms::explore(looms::models::$name), $looms);
        }
    )*};
}

gaps! {
    // Loom's reduction looks at the latest dependent access only: earlier racing loads are
    // forgotten (loom #166, #392).
    a_load_may_read_the_store_behind_another_load: Fails("read 1"), Passes;
    ring_slot_given_back_relaxed: Fails("race"), Passes;
    // A control: what both find.
    lost_update: Fails("ended with 1"), Fails("ended with 1");

    // Loom takes SeqCst accesses for AcqRel (loom #180, #191).
    store_buffering_seq_cst: Passes, Fails("both missed");
    store_buffering_seq_cst_against_a_fence: Passes, Fails("both missed");
    independent_reads_seq_cst: Passes, Fails("disagree");
    peterson_seq_cst: Passes, Fails("both are in");

    // A read-modify-write is torn from the store that it reads; modification order is not
    // transitive (loom #254, #389, #282).
    a_swap_is_not_overtaken_by_the_store_it_did_not_read: Passes, Fails("overtaken");
    an_increment_is_not_overtaken_by_the_store_it_did_not_read: Passes, Fails("overtaken");
    readers_agree_with_an_exchange: Passes, Fails("went back");

    // A failing exchange never reads a stale value, and a weak one never fails spuriously.
    a_failing_exchange_reads_a_stale_value: Fails("stale"), Passes;
    a_weak_exchange_fails_spuriously: Fails("spurious"), Passes;

    // Only the last seven stores are kept (loom #170).
    an_old_value_may_still_be_read: Fails("old"), Passes;

    // Notifications are first in, first out; nothing wakes spuriously; a notification carries
    // happens-before (loom #1).
    a_condvar_wakes_spuriously: Fails("spurious"), Passes;
    park_returns_spuriously: Fails("spurious"), Passes;
    a_notification_is_no_synchronisation: Fails("race"), Passes;

    // Timeouts never fire; a condvar eats the token of park (loom #86, #193, #422).
    a_wait_without_notification_times_out: Passes, Fails("deadlock");
    a_condvar_leaves_the_token_of_park_alone: Passes, Fails("deadlock");
}

/// Five threads are loom's most (loom #157), the main one included.
#[test]
fn six_threads() {
    expect("this checker", ours::explore(ours::models::six_threads), Passes);
    expect("loom", looms::explore(looms::models::six_threads), Fails(""));
}

/// Not through a spurious wake-up: the notification itself chooses (loom #1).
#[test]
fn a_condvar_wakes_any_of_its_waiters() {
    let model = ours::models::a_condvar_wakes_any_of_its_waiters;
    expect("this checker", ours::explore_without_spurious_wakeups(model), Fails("the second"));
    expect("loom", looms::explore(looms::models::a_condvar_wakes_any_of_its_waiters), Passes);
}
