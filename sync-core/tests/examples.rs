//! Runs the examples: each asserts its claims.

use std::process::Command;

#[path = "support/examples.rs"]
mod support;
use support::run;

/// One test for each example: its name, and a part of its output.
macro_rules! examples {
    ($($name:ident: $says:expr,)*) => {$(
        #[test]
        fn $name() {
            let said = run(stringify!($name));
            assert!(said.contains($says), "{said}");
        }
    )*};
}

examples! {
    asyncio_primitives: "two at a time: true",
    condition_stock: "sold out",
    connection_pool: "a third checkout: the time was up",
    counter_lock: "with the lock: 0 left",
    door: "3 entered, 1 gave up",
    five_at_a_time: "one release too many",
    interpreter_lock: "5 ms interval",
    join_daemon: "the program waits no longer",
    nested_rlock: "in the end: part 5, stock 50",
    stop_from_outside: "all three were told to stop",
    tasks_and_threads: "sold out",
    phases: "4 threads found the barrier broken",
    rate_limiter: "20 requests, not faster than the limit",
    two_ways: "counter is over: true",
    upgradable_cache: "4 threads, 2 words, 2 computed",
}

/// rustix's clock ends a program under valgrind (rustix #1559); ours is the C library's.
#[cfg(target_os = "linux")]
#[test]
fn a_timed_wait_runs_under_valgrind() {
    let said = run("connection_pool");
    let example = std::env::current_exe().expect("a test has a path");
    let example = example.ancestors().nth(2).expect("target/debug/deps/examples-...");
    let valgrind = Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=9"])
        .arg(example.join("examples/connection_pool"))
        .output();
    let Ok(output) = valgrind else {
        eprintln!("SKIPPED: valgrind is not installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), said);
}
