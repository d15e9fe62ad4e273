//! The examples run, and the pair of unrelated programs talks.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

/// Cargo builds the examples of the package before its tests run, beside them.
fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().expect("a path");
    path.pop();
    path.pop();
    Command::new(path.join("examples").join(name))
}

#[test]
fn each_runs() {
    for (name, arguments) in [
        ("ping_pong_ten", ""),
        ("pipe", ""),
        ("value_array", ""),
        ("recovery", "20"),
        ("against_python", ""),
        #[cfg(feature = "process")]
        ("process_life", ""),
        #[cfg(feature = "process")]
        ("downloads", ""),
        #[cfg(feature = "process")]
        ("pool_map", ""),
        #[cfg(feature = "process")]
        ("log_shipper", ""),
        #[cfg(feature = "process")]
        ("cpu_or_io", "100000"),
        #[cfg(feature = "manager")]
        ("manager", ""),
    ] {
        let output = example(name).args(arguments.split_whitespace()).output().expect("built");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty(), "{name} says something");
    }
}

#[test]
fn the_pair_talks_by_name() {
    let name = format!("board-{}", std::process::id());
    let server =
        example("board_server").env("BOARD", &name).stdout(Stdio::piped()).spawn().expect("built");
    for args in [&["3", "4"][..], &["5"], &["close"]] {
        let status =
            example("board_client").env("BOARD", &name).args(args).status().expect("built");
        assert!(status.success());
    }
    let output = server.wait_with_output().expect("it ends");
    assert!(String::from_utf8_lossy(&output.stdout).contains("total: 12"), "{output:?}");
}
