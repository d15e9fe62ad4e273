//! One-time initialisation beside its peers: the workloads of `cargo compare`, under Criterion.

mod support;

fn main() {
    support::run(sync_benches::workloads::once::workloads());
}
