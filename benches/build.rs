//! Hands the compiler's version to the program: every table of measurements names it.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    println!(
        "cargo:rustc-env=SYNC_BENCHES_RUSTC={}",
        version.as_deref().unwrap_or("unknown rustc").trim()
    );
    println!("cargo:rerun-if-changed=build.rs");
}
