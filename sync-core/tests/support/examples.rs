//! Runs the examples of a package: they are part of its documentation, so they have to work.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// Runs an example, and returns its standard output.
///
/// Cargo builds the examples of a package before its tests run, beside them. A test that is run by
/// its name may find none: then one call of cargo builds them all.
pub(crate) fn run(name: &str) -> String {
    static BUILD: Once = Once::new();
    // target/<profile>/deps/examples-... -> target/<profile>/examples/<name>
    let mut path: PathBuf = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    let path = path.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if !path.exists() {
        BUILD.call_once(|| {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
            let built = cargo.args(["build", "--examples", "--manifest-path", manifest]).output();
            let built = built.expect("cargo starts");
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        });
    }
    let output = Command::new(&path).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = String::from_utf8(output.stdout).expect("examples print text");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{text}{complaint}", output.status);
    text
}
