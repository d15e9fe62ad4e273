//! The cost of an operation on a machine that is not here: cache-line transfers and locked
//! instructions, counted instead of timed.
//!
//! The machines that measure this library have two processors; its users have sixteen and more. A
//! time cannot be measured there, but what dominates it can be counted: how often a line moves from
//! one processor's cache to another's, and how many locked instructions are executed. Both follow
//! from the order of the memory accesses, which [`programs`] copies from the algorithms, access by
//! access, and [`machine`] runs on as many processors as threads.
//!
//! # The model, and what it leaves out
//!
//! * One processor for each thread, one level of cache, MESI: a read of a line that another
//!   processor has written, and a write to a line that another processor has in its cache, move the
//!   line once. All other accesses are local.
//! * A line serves one access at a time, first come, first served.
//! * A transfer takes 60 ns, a locked instruction 6 ns, everything else 1 ns. The counts depend on
//!   these numbers only where threads race; a test shows that the order of the subjects does not.
//! * No thread sleeps: a sleeping thread accesses no line, so the counts are those of the phase in
//!   which all threads are awake, which is the worst one.
//! * Caches never run full, no line is fetched in advance, and memory is sequentially consistent.
//!
//! The same run gives the same numbers on every computer: nothing here reads a clock.

pub mod machine;
pub mod programs;

pub use machine::{Costs, Count};
pub use programs::{SUBJECTS, Subject};

/// The numbers of threads for which the counts are printed.
pub const THREADS: [usize; 6] = [1, 2, 4, 8, 16, 64];

/// The number of operations that each thread executes.
const OPERATIONS: u64 = 50;

/// Counts a subject with `threads` threads, each of which works for `work` nanoseconds between two
/// operations.
pub fn count(subject: &Subject, threads: usize, work: u64, costs: Costs) -> Count {
    machine::run((subject.team)(threads), costs, work, OPERATIONS)
}

/// The counts of all subjects, as a table of Markdown.
fn table(work: u64) -> String {
    let mut text = String::from("| per operation, by threads |");
    THREADS.iter().for_each(|threads| text += &format!(" {threads} |"));
    text += "\n|---|";
    THREADS.iter().for_each(|_| text += "---|");
    text.push('\n');
    for subject in SUBJECTS {
        for (what, of) in [
            ("lines moved", Count::transfers as fn(&Count) -> f64),
            ("locked instructions", Count::locked),
        ] {
            text += &format!("| {}: {what} |", subject.name);
            for threads in THREADS {
                text += &format!(" {:.1} |", of(&count(subject, threads, work, Costs::default())));
            }
            text.push('\n');
        }
    }
    text
}

/// Both tables of BENCHMARKS.md: operations back to back, and with ten microseconds of other work
/// between two operations of a thread.
pub fn tables() -> [String; 2] {
    [table(0), table(10_000)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAGER: &str = "a mutex whose waiters look without a pause";

    fn at(name: &str, threads: usize, costs: Costs) -> Count {
        let subject = SUBJECTS.iter().find(|subject| subject.name == name).expect(name);
        count(subject, threads, 0, costs)
    }

    #[test]
    fn one_thread_moves_no_line_and_executes_the_locked_instructions_of_the_source() {
        for subject in SUBJECTS {
            let count = count(subject, 1, 0, Costs::default());
            // A compare-and-swap at each end of every pair.
            assert!((count.locked() - 2.0).abs() < 0.05, "{}: {count:?}", subject.name);
            // The first touch of each line is no transfer between processors.
            assert_eq!(count.moved, 0, "{}", subject.name);
        }
    }

    #[test]
    fn waiters_that_pause_leave_the_line_to_the_holder() {
        for threads in [2, 4] {
            let (pausing, eager) = (
                at("Mutex", threads, Costs::default()).transfers(),
                at(EAGER, threads, Costs::default()).transfers(),
            );
            assert!(pausing * 2.0 < eager, "{threads}: {pausing} {eager}");
        }
    }

    #[test]
    fn readers_share_one_word_and_the_threads_of_a_scheduler_share_none() {
        assert!(at("RwLock, read", 16, Costs::default()).transfers() >= 2.0);
        assert_eq!(at("Scheduler, insert", 16, Costs::default()).moved, 0);
        assert!(at("Scheduler, insert", 64, Costs::default()).moved > 0);
    }

    #[test]
    fn the_order_of_the_subjects_does_not_depend_on_the_price_of_a_transfer() {
        for transfer in [30, 120] {
            let costs = Costs { transfer, ..Costs::default() };
            let of = |name| at(name, 8, costs).transfers();
            assert!(of("Scheduler, insert") < of("Mutex"), "{transfer}");
            assert!(of("Mutex") < of(EAGER), "{transfer}");
            assert!(of("Mutex") < of("RwLock, read"), "{transfer}");
        }
    }

    #[test]
    fn the_tables_of_the_document_are_the_present_ones() {
        let document = include_str!("../../../BENCHMARKS.md");
        for table in tables() {
            assert!(document.contains(&table), "BENCHMARKS.md needs this table:\n\n{table}");
        }
    }
}
