//! Runs the examples, and looks at what they say.

use std::process::Command;

/// Through cargo, which builds what is not there: a test that is asked for by its name finds no
/// examples built.
fn run(name: &str) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output =
        cargo.args(["run", "--quiet", "--manifest-path", manifest, "--example", name]).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("examples print text")
}

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
