//! The table of published counts, with real closures.
use std::sync::Arc;
use verify::model::Builder;
use verify::sync::atomic::{AtomicUsize, Ordering, Ordering::*, fence};
use verify::thread;

struct Vars {
    x: AtomicUsize,
    y: AtomicUsize,
    z: AtomicUsize,
}

/// Complete executions of a model, each explored once, by one worker and by several.
fn executions(model: impl Fn() + Copy + Send + Sync + 'static) -> u64 {
    let [serial, parallel] = [1, 3].map(|workers| {
        let mut builder = Builder::new();
        builder.workers = workers;
        builder.count_distinct = true;
        // The published counts tell equal threads apart.
        builder.symmetry = false;
        let report = builder.explore(model);
        assert!(report.failure.is_none(), "{:?}", report.failure);
        assert_eq!(report.distinct, Some(report.executions), "an execution was explored twice");
        report.executions
    });
    assert_eq!(serial, parallel);
    serial
}

fn count(threads: &'static [fn(&Vars)]) -> u64 {
    executions(move || {
        let v = Arc::new(Vars {
            x: AtomicUsize::new(0),
            y: AtomicUsize::new(0),
            z: AtomicUsize::new(0),
        });
        for t in threads {
            let v = v.clone();
            thread::spawn(move || t(&v));
        }
    })
}

fn sb(v: &AtomicUsize, w: &AtomicUsize, s: Ordering, l: Ordering) {
    v.store(1, s);
    w.load(l);
}

#[test]
fn litmus() {
    assert_eq!(
        count(&[|v| sb(&v.x, &v.y, Release, Acquire), |v| sb(&v.y, &v.x, Release, Acquire)]),
        4
    );
    assert_eq!(count(&[|v| sb(&v.x, &v.y, SeqCst, SeqCst), |v| sb(&v.y, &v.x, SeqCst, SeqCst)]), 3);
    fn f(v: &AtomicUsize, w: &AtomicUsize) {
        v.store(1, Relaxed);
        fence(SeqCst);
        w.load(Relaxed);
    }
    assert_eq!(count(&[|v| f(&v.x, &v.y), |v| f(&v.y, &v.x)]), 3);
    assert_eq!(count(&[|v| f(&v.x, &v.y), |v| sb(&v.y, &v.x, SeqCst, SeqCst)]), 3);
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, Release);
                v.y.store(1, Release)
            },
            |v| {
                v.y.load(Acquire);
                v.x.load(Acquire);
            }
        ]),
        3
    );
    assert_eq!(
        count(&[
            |v| {
                v.y.load(Acquire);
                v.x.store(1, Release)
            },
            |v| {
                v.x.load(Acquire);
                v.y.store(1, Release);
            }
        ]),
        3
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(2, Relaxed);
                v.y.store(1, Relaxed)
            },
            |v| {
                v.y.load(Relaxed);
                v.x.store(1, Relaxed);
            }
        ]),
        4
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, Release);
                v.y.store(2, Release)
            },
            |v| {
                v.y.store(1, Release);
                v.x.store(2, Release);
            }
        ]),
        4
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, SeqCst);
                v.y.store(2, SeqCst)
            },
            |v| {
                v.y.store(1, SeqCst);
                v.x.store(2, SeqCst);
            }
        ]),
        3
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, Relaxed);
                v.x.store(2, Relaxed)
            },
            |v| {
                v.x.load(Relaxed);
                v.x.load(Relaxed);
            }
        ]),
        6
    );
    assert_eq!(
        count(&[
            |v| v.x.store(1, Relaxed),
            |v| v.x.store(2, Relaxed),
            |v| {
                v.x.load(Relaxed);
                v.x.load(Relaxed);
            },
            |v| {
                v.x.load(Relaxed);
            }
        ]),
        36
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.load(Relaxed);
                v.x.store(1, Relaxed)
            },
            |v| v.x.store(2, Relaxed)
        ]),
        3
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, Relaxed);
                v.x.load(Relaxed);
            },
            |v| v.x.store(2, Relaxed)
        ]),
        3
    );
    assert_eq!(
        count(&[
            |v| v.x.store(1, SeqCst),
            |v| v.y.store(1, SeqCst),
            |v| {
                v.x.load(Acquire);
                v.y.load(SeqCst);
            },
            |v| {
                v.y.load(Acquire);
                v.x.load(SeqCst);
            }
        ]),
        16
    );
    assert_eq!(
        count(&[
            |v| v.x.store(1, SeqCst),
            |v| v.y.store(1, SeqCst),
            |v| {
                v.x.load(SeqCst);
                v.y.load(SeqCst);
            },
            |v| {
                v.y.load(SeqCst);
                v.x.load(SeqCst);
            }
        ]),
        15
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, Relaxed);
                v.y.store(1, Release)
            },
            |v| {
                v.y.load(Acquire);
                v.z.store(1, Release);
            },
            |v| {
                v.z.load(Acquire);
                v.x.load(Relaxed);
            }
        ]),
        7
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, Relaxed);
                fence(SeqCst);
                v.y.store(1, Relaxed)
            },
            |v| {
                v.y.load(Acquire);
                v.z.store(1, Relaxed);
            },
            |v| {
                v.z.store(2, Relaxed);
                fence(SeqCst);
                v.x.load(Relaxed);
            }
        ]),
        7
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.store(1, SeqCst);
                v.y.store(1, Release)
            },
            |v| {
                v.y.fetch_add(1, SeqCst);
                v.y.load(Relaxed);
            },
            |v| {
                v.y.store(3, SeqCst);
                v.x.load(SeqCst);
            }
        ]),
        24
    );
    assert_eq!(
        count(&[
            |v| {
                v.x.fetch_add(1, Relaxed);
            },
            |v| {
                v.x.fetch_add(1, Relaxed);
            },
            |v| {
                v.x.load(Relaxed);
                v.x.load(Relaxed);
            },
            |v| v.x.store(42, Relaxed),
            |v| {
                v.x.load(Relaxed);
                v.x.load(Relaxed);
            }
        ]),
        600
    );
}

fn same(n: usize, f: fn(&Vars, usize)) -> u64 {
    executions(move || {
        let v = Arc::new(Vars {
            x: AtomicUsize::new(0),
            y: AtomicUsize::new(0),
            z: AtomicUsize::new(0),
        });
        for i in 0..n {
            let v = v.clone();
            thread::spawn(move || f(&v, i));
        }
    })
}

#[test]
fn families() {
    for (n, want) in [(2, 2), (3, 6), (4, 24), (5, 120)] {
        assert_eq!(
            same(n, |v, _| {
                v.x.fetch_add(1, Relaxed);
            }),
            want
        );
        assert_eq!(
            same(n, |v, _| {
                v.x.fetch_add(1, Relaxed);
                v.y.fetch_add(1, Relaxed);
            }),
            want * want
        );
        if n < 5 {
            assert_eq!(
                same(n, |v, _| {
                    let a = v.x.load(Relaxed);
                    v.x.store(a + 1, Relaxed);
                }),
                want * want,
                "n x (load; store), {n}"
            );
        }
    }
    for n in 2..5 {
        assert_eq!(
            same(n, |v, i| {
                let _ = v.x.compare_exchange(0, i + 1, Relaxed, Relaxed);
            }),
            n as u64
        );
    }
    for (n, want) in [(2, 2), (3, 5), (4, 14), (5, 43), (6, 144), (7, 523)] {
        assert_eq!(
            same(n, |v, i| {
                let _ = v.x.compare_exchange(i, i + 1, Relaxed, Relaxed);
            }),
            want
        );
    }
    for n in 1..7 {
        assert_eq!(
            same(n + 1, |v, i| if i == 0 {
                v.x.store(1, Relaxed)
            } else {
                v.x.load(Relaxed);
            }),
            1 << n
        );
    }
}
