//! The known causes of cells in which ours is behind a peer. Each was found by an experiment that
//! the named document describes; a loss without a row here has no known cause.

/// The beginning of a cell's name, `<primitive>/<workload>`, and the cause.
const REASONS: &[(&str, &str)] = &[
    (
        "mutex/uncontended",
        "spin releases by a plain store because no waiter ever sleeps; std leaves by a swap, ours \
         by a compare-and-swap, which keeps bounded overtaking.",
    ),
    (
        "mutex/contended",
        "A waiter of parking_lot yields to the scheduler and leaves the cache line alone for \
         longer; its longest wait is 15 times ours (see hog).",
    ),
    ("mutex/hog", "Bounded overtaking: the latecomer gets the lock after 1 ms, and the hog pays."),
    (
        "mutex/wait",
        "With more threads than processors a waiter that looks every 250 ns uses a processor that \
         the holder may need; peers whose waiters sleep or yield at once use less.",
    ),
    (
        "fair_mutex",
        "While threads are queued, each release is a hand-over, and with more threads than \
         processors a context switch. parking_lot's fair lock is fair only every half millisecond, \
         and std's not at all.",
    ),
    (
        "reentrant_mutex/contended",
        "The slow path is that of the mutex, with the owner's word beside it.",
    ),
    (
        "condvar/ping-pong",
        "usync's waiter spins for the notification before it sleeps; ours sleeps, as std's and \
         parking_lot's do: most waits for a condition are long.",
    ),
    (
        "rwlock",
        "One word holds readers and writers, so each reader writes to it; the slow path is that of \
         the mutex.",
    ),
    (
        "queue/mpsc-unbounded",
        "The threads step in turn over the same cache lines. Peers gain from the allocator's lock, \
         which stalls one side and so makes batches.",
    ),
    (
        "queue/mpmc-unbounded",
        "The threads step in turn over the same cache lines; see mpsc-unbounded.",
    ),
    (
        "async/one-to-one-1/",
        "An item costs two polls, as tokio's does; kanal's costs 0.67 and flume's 1 (counted), \
         because a receiver also takes the item of a sender that waits. Ours leaves the item with \
         its task until that runs: a send that is dropped takes its item along. The two waits take \
         2480 instructions, tokio's 1740, async-channel's 2500, kanal's 470 (counted; 3715 before \
         the waker was in the channel's list itself and not in the table of waiters too). Of these \
         the two wakes take 620, because threads, tasks and selects wait in one line and take \
         turns; tokio's channel has one receiver, whose waker is a field.",
    ),
    ("async/many-to-one-1/", "Two polls an item, see one-to-one-1."),
    ("async/many-to-many-1/", "Two polls an item, see one-to-one-1."),
    (
        "async/one-to-one-64/",
        "kanal's locked deque is for one executor what it is for one thread (see \
         queue/one-thread): no thread contends, and a send is a call that makes no wait.",
    ),
    ("async/many-to-one-64/", "As one-to-one-64."),
    ("async/many-to-many-64/", "As one-to-one-64."),
    (
        "async/lock/",
        "A turn with its wait in line takes 2340 instructions with ours, 2160 with async-lock, \
         1880 with tokio, 1490 with futures' lock (counted on one thread, the executor's part \
         included): the lock is one word without a list, so a waiter is in the table, which has a \
         lock; and the clock is read to bound overtaking, which futures' lock does not bound.",
    ),
    (
        "async/put-get-alone",
        "A put and a get of a task take 137 instructions, of a thread 61; kanal 128, flume 324, \
         tokio 420 (counted). The rest is the state of the two futures.",
    ),
    ("select/ready-2", "The same number of instructions: 446, crossbeam 461 (counted)."),
    (
        "select/ready-8",
        "Fewer instructions: 735, crossbeam 927 (counted). A ratio of two is that of the records \
         from before a select looked at its cases without a fence; since then both take as long: \
         150 ns and 152 in one run.",
    ),
    (
        "async/lock-alone",
        "The state of the future, and a guard that may be sent to another thread: about 1 ns.",
    ),
    (
        "async/permit-alone",
        "The state of the future, and a permit that knows its number: 1 to 2 ns.",
    ),
    (
        "once/once-done",
        "The same number of instructions (record/instructions.tsv); which of the contestants takes \
         0.7 ns and which 1.6 changes from one build of the benchmarks to the next.",
    ),
    (
        "once/lazy-deref",
        "The same number of instructions (record/instructions.tsv); which of the contestants takes \
         0.7 ns and which 1.6 changes from one build of the benchmarks to the next.",
    ),
    (
        "queue/one-thread-",
        "In one thread kanal's deque behind a spin lock takes 77 instructions, ours took 92 to 103 \
         when this was timed. It takes 64 to 85 now (record/instructions.tsv).",
    ),
    (
        "rate_limiter/",
        "Ours reads the system's clock, governor the processor's counter: by the sources of both, \
         not measured apart.",
    ),
    ("queue/spsc-1", "kanal hands an item over directly when there is room for one."),
    ("queue/batch-8", "A batch costs a vector; it pays from some dozen items on."),
    ("queue/mpsc-1/", "kanal hands an item over directly when there is room for one."),
    ("queue/spmc-1/", "kanal hands an item over directly when there is room for one."),
    (
        "timer/cancel",
        "The peers that are faster only set a flag and keep the closure until its deadline; ours \
         frees it at once.",
    ),
    (
        "timer/lateness",
        "hierarchical_hash_wheel_timer fires up to 0.95 ms early (see lateness-early), so that its \
         median is never late; ours is never early.",
    ),
    (
        "timer/fire",
        "Ours fires in the order of nanosecond deadlines; hierarchical_hash_wheel_timer fires a \
         millisecond's bucket in insertion order, up to 0.95 ms early.",
    ),
    (
        "processes/spawn",
        "A child gets its arguments in a socket and reports its result; Command's child gets and \
         reports nothing.",
    ),
    (
        "processes/map",
        "Each argument and each result is written and read once as bytes, half of it by the \
         caller; threads of one process pass a vector on.",
    ),
    (
        "processes/apply",
        "The pool's dispatcher is woken between the worker and the caller: it sees to workers that \
         die and tasks that wait.",
    ),
    (
        "processes/bytes16m",
        "The bytes are copied into shared memory and out of it, one after the other; the copy \
         beside it is one.",
    ),
    (
        "processes/manager",
        "A request and its answer are serialised, and looked at before they are believed.",
    ),
    (
        "ipc_queue",
        "iceoryx2 passes a reference to a slot; ours copies the item, since a peer process may \
         write to shared memory at any time.",
    ),
];

/// The cause, if it is known.
pub fn reason(cell: &str) -> Option<&'static str> {
    REASONS.iter().find(|(prefix, _)| cell.starts_with(prefix)).map(|(_, cause)| *cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads;

    #[test]
    fn each_reason_belongs_to_a_workload() {
        for (prefix, _) in REASONS {
            let known = workloads::all().iter().any(|workload| {
                format!("{}/{}/{}", workload.primitive, workload.name, workload.threads)
                    .starts_with(prefix)
            });
            assert!(known, "no workload begins with {prefix}");
        }
    }
}
