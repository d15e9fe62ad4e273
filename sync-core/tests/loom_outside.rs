//! A crate outside the workspace: it uses `sync_core::Mutex` in its own loom models
//! (`tests/outside`), and without models it locks few packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of a stranger's crate, and a cargo that runs there as a stranger would run it.
fn outside() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside");
    // Not part of the package.
    folder.is_dir().then_some(folder)
}

fn cargo(folder: &Path, flags: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // For speed: no place in a backtrace is read.
        .envs([("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_INCREMENTAL", "0")])
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside"))
        .output()
        .expect("cargo runs")
}

fn text(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}\n{err}")
}

/// A stranger's crate with these lines below `[dependencies]`, in a folder of its own.
fn stranger(name: &str, dependencies: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(folder.join("src")).expect("a folder for the stranger's crate");
    fs::write(folder.join("src/lib.rs"), "").expect("its source");
    let manifest = format!(
        "[package]\nname = \"stranger\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
         [dependencies]\n{dependencies}\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("its manifest");
    let _ = fs::remove_file(folder.join("Cargo.lock"));
    folder
}

#[test]
fn a_stranger_models_code_that_uses_our_mutex() {
    let Some(folder) = outside() else { return };
    let output = cargo(&folder, "--cfg loom", &["test", "--locked"]);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("2 passed"), "both models ran: {text}");
}

#[test]
fn a_project_that_adds_this_crate_locks_at_most_ten_packages() {
    if outside().is_none() {
        return;
    }
    let dependency = format!("sync-core = {{ path = {:?} }}", env!("CARGO_MANIFEST_DIR"));
    let folder = stranger("stranger", &dependency);
    // The versions of the workspace's lock file, so that the test needs no network.
    let mut output = cargo(&folder, "", &["generate-lockfile", "--offline"]);
    if !output.status.success() {
        output = cargo(&folder, "", &["generate-lockfile"]);
    }
    assert!(output.status.success(), "{}", text(&output));
    let lock = fs::read_to_string(folder.join("Cargo.lock")).expect("cargo has written it");
    let packages: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert!(packages.contains(&"\"sync-core\""), "{packages:?}");
    // With the stranger's own.
    assert!(packages.len() <= 10, "{} packages: {packages:?}", packages.len());
}

#[test]
fn a_model_build_without_the_feature_names_the_feature() {
    if outside().is_none() {
        return;
    }
    let dependency = format!("sync-core = {{ path = {:?} }}", env!("CARGO_MANIFEST_DIR"));
    let folder = stranger("featureless", &dependency);
    let output = cargo(&folder, "--cfg loom", &["check", "--offline"]);
    assert!(!output.status.success(), "real primitives in a model would be wrong");
    let text = text(&output);
    assert!(text.contains("`--cfg loom` needs sync-core's feature `loom`"), "{text}");
}
