//! Runs the examples, and looks at what they print.

#[path = "../../sync-core/tests/support/examples.rs"]
mod support;
use support::run;

#[test]
fn queues() {
    let text = run("queues");
    for line in [
        "no room for 4",
        "first out: [3, 1, 2]",
        "first out:  [2, 1, 3]",
        "lowest first:        [1, 2, 3]",
        "nothing is left",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn producer_consumer() {
    let text = run("producer_consumer");
    assert!(text.contains("all is done: 52450"), "{text}");
    assert_eq!(text.matches("goes home").count(), 3);
}

#[test]
fn thread_pool() {
    let text = run("thread_pool");
    for line in [
        "worker_0 starts",
        "in order: [0, 1, 4]",
        "4 squared is 16",
        "the job panicked: ",
        "the pool has ended",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn worker_pool() {
    let text = run("worker_pool");
    assert!(text.contains("the sum of all jobs but one: 4937"), "{text}");
}

#[test]
fn asyncio_queues() {
    let text = run("asyncio_queues");
    for line in [
        "three workers did 20 jobs, and the sum is 210",
        "by priority [1, 2, 3], last first [2, 1, 3]",
        "timed out: true",
        "3 jobs are done, and the sum is 14",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
