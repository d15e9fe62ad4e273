//! The rules of types: programs that must not compile, each with the message of the compiler.
// The messages are those of the build that users run, without a feature that changes types.
#![cfg(not(any(feature = "deadlock", feature = "stats")))]

use std::path::Path;
use std::process::Command;

/// Returns whether the sources of std are installed: then the messages quote them.
fn quotes_std() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output().expect("a compiler");
    let sysroot = String::from_utf8(sysroot.stdout).expect("UTF-8");
    Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library").exists()
}

/// One test, because it builds a project of its own. `TRYBUILD=overwrite` writes the messages of
/// another compiler; look at the difference before committing it. A message that names a place in
/// std is compared only where its sources are not installed.
#[test]
fn what_would_be_unsound_does_not_compile() {
    let (cases, quotes_std) = (trybuild::TestCases::new(), quotes_std());
    for entry in std::fs::read_dir("tests/compile_fail").expect("the programs") {
        let program = entry.expect("the programs").path();
        if program.extension().is_some_and(|kind| kind == "rs") {
            let message = program.with_extension("stderr");
            let message = std::fs::read_to_string(message).unwrap_or_default();
            if !(quotes_std && message.contains("$RUST/")) {
                cases.compile_fail(program);
            }
        }
    }
}
