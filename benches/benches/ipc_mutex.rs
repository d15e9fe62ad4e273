//! The lock between processes beside its peers: the workloads of `cargo compare`, under Criterion.

#[cfg(target_os = "linux")]
mod support;

#[cfg(target_os = "linux")]
fn main() {
    support::run(sync_benches::workloads::ipc_mutex::workloads());
}

#[cfg(not(target_os = "linux"))]
fn main() {}
