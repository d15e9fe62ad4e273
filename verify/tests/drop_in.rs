//! The project of the README, which uses loom: with the README's two lines in its manifest it gets
//! the counterexample that the README shows.
use std::path::Path;
use std::process::Command;

/// The contents of the first block of the README that begins so.
fn block(readme: &str, fence: &str) -> String {
    let start = readme.find(fence).unwrap_or_else(|| panic!("the README has no {fence}"));
    let body = &readme[start + fence.len()..];
    body[..body.find("```").expect("the block ends")].to_string()
}

#[test]
fn a_project_of_looms_gets_a_counterexample_that_it_can_read() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(here.join("README.md")).expect("the README");
    let two_lines = block(&readme, "```toml\n[patch.crates-io]\n");
    let two_lines = two_lines.replace("…/verify", here.to_str().expect("a path that is text"));
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handoff");
    std::fs::create_dir_all(project.join("src")).expect("a folder for the project");
    let write = |name: &str, text: String| {
        std::fs::write(project.join(name), text).expect("a file of the project");
    };
    write("src/lib.rs", block(&readme, "```rust,ignore\n"));
    write(
        "Cargo.toml",
        format!(
            "[package]\nname = \"handoff\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [target.'cfg(loom)'.dependencies]\nloom = \"0.7\"\n\n[workspace]\n\n\
             [patch.crates-io]\n{two_lines}"
        ),
    );
    // The same versions as here: they are there without a network.
    let lock = here.join("../Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).expect("the versions of the dependencies");
    let out = Command::new(env!("CARGO"))
        .args(["test", "--lib", "--offline", "--quiet"])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", project.join("target"))
        .env("RUSTFLAGS", "--cfg loom")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // For speed.
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("VERIFY_SUMMARY")
        .output()
        .expect("cargo runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let mut printed = text.lines().map(str::trim_end);
    for line in block(&readme, "```text\n").lines().map(str::trim_end) {
        assert!(printed.any(|l| l == line), "the README has {line:?} next; printed was:\n{text}");
    }
    assert!(!out.status.success(), "the test of the project has to fail");
}
