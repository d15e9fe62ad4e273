//! Runs the examples, and looks at what they print.

#[path = "../../sync-core/tests/support/examples.rs"]
mod support;
use support::run;

#[test]
fn hello_timer() {
    let said = run("hello_timer");
    assert_eq!(
        said,
        "cancelled in time: true\nhello, world\nwaited at least half a second: true\n"
    );
}

#[test]
fn many_timers() {
    let said = run("many_timers");
    assert!(said.contains("timed out"), "{said}");
}

#[test]
fn periodic_jobs() {
    let said = run("periodic_jobs");
    assert!(said.contains("refresh") && said.contains("stopped, and no job is running"), "{said}");
}

#[test]
fn asyncio_timers() {
    let said = run("asyncio_timers");
    let all = "slept three times at once\ntimed out: true\nin time: true\nthree ticks\n";
    assert_eq!(said, all);
}
