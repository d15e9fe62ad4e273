//! Processes beside their peers: the workloads of `cargo compare`, under Criterion.

#[cfg(target_os = "linux")]
mod support;

#[cfg(target_os = "linux")]
fn main() {
    sync_benches::workloads::run_if_child();
    support::run(sync_benches::workloads::processes::workloads());
}

#[cfg(not(target_os = "linux"))]
fn main() {}
