//! Runs the workloads of `cargo compare` as Criterion benchmarks, named
//! `<primitive>/<workload>/<peer>/<threads>`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use sync_benches::compare::{Length, NS_PER_OP, Workload};

/// Runs all that are simply timed and not part of the large grid; percentiles and fairness are
/// `cargo compare`'s.
pub(crate) fn run(workloads: Vec<Workload>) {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for workload in
        workloads.iter().filter(|workload| !workload.grid && workload.metrics.first() == Some(&""))
    {
        let mut group =
            criterion.benchmark_group(format!("{}/{}", workload.primitive, workload.name));
        for contestant in &workload.contestants {
            group.bench_function(BenchmarkId::new(contestant.peer, workload.threads), |bencher| {
                let mut subject = contestant.start();
                subject
                    .check()
                    .unwrap_or_else(|what| panic!("{}: {what}", workload.id("", contestant.peer)));
                bencher.iter_custom(|iterations| {
                    let outcome = subject
                        .round(Length::Ops(iterations))
                        .unwrap_or_else(|what| panic!("{what}"));
                    assert_eq!(outcome.metrics[0].unit, NS_PER_OP);
                    // A team shares the operations evenly, so there may be a few more than were
                    // asked for.
                    outcome.elapsed.mul_f64(iterations as f64 / outcome.ops as f64)
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
