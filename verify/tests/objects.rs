//! Locks, sleeping, threads: that they work, and how many executions they take.
use std::sync::Arc as StdArc;
use std::time::Duration;
use verify::model::{Builder, Report};
use verify::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};
use verify::sync::{Arc, Barrier, Condvar, Mutex, OnceLock, RwLock};
use verify::{cell::UnsafeCell, futex, thread};

fn exact() -> Builder {
    let mut b = Builder::new();
    // Orders are counted: equal threads are told apart.
    b.symmetry = false;
    b.weak_failures = 0;
    b.spurious_wakeups = 0;
    b.early_timeouts = 0;
    b.count_distinct = true;
    b
}

fn run(b: Builder, f: impl Fn() + Send + Sync + 'static) -> Report {
    let r = b.explore(f);
    assert!(r.failure.is_none(), "{}", r.failure.unwrap());
    assert!(
        r.distinct.is_none_or(|distinct| distinct == r.executions),
        "{r}: {:?} distinct",
        r.distinct
    );
    r
}

fn fails(f: impl Fn() + Send + Sync + 'static) -> String {
    Builder::new().explore(f).failure.expect("a bug to be found").to_string()
}

#[test]
fn mutexes() {
    for (n, want) in [(2, 2), (3, 6), (4, 24), (5, 120)] {
        let r = run(exact(), move || {
            let m = StdArc::new((Mutex::new(0), AtomicUsize::new(0)));
            for _ in 0..n {
                let m = m.clone();
                thread::spawn(move || {
                    let mut g = m.0.lock().unwrap();
                    *g += 1;
                    let v = m.1.load(Relaxed);
                    m.1.store(v + 1, Relaxed);
                });
            }
        });
        println!("{r}");
        assert_eq!((r.executions, r.blocked), (want, 0));
    }
}

#[test]
fn joined_sum() {
    let r = run(exact(), || {
        let m = Arc::new(Mutex::new(0));
        let t: Vec<_> = (0..3)
            .map(|_| {
                let m = m.clone();
                thread::spawn(move || *m.lock().unwrap() += 1)
            })
            .collect();
        for t in t {
            t.join().unwrap();
        }
        assert_eq!(*m.lock().unwrap(), 3);
    });
    assert_eq!(r.executions, 6);
}

#[test]
fn scoped() {
    run(exact(), || {
        let mut x = 0;
        let y = AtomicUsize::new(0);
        thread::scope(|s| {
            s.spawn(|| {
                x = 5;
                y.fetch_add(1, Relaxed);
            });
            s.spawn(|| y.fetch_add(1, Relaxed));
        });
        assert_eq!((x, y.load(Relaxed)), (5, 2));
    });
}

/// A cell that threads share; the checker looks whether they may.
struct Racy(UnsafeCell<usize>);

// SAFETY: the checker fails the model when two accesses race.
unsafe impl Sync for Racy {}

impl Racy {
    fn new() -> Racy {
        Racy(UnsafeCell::new(0))
    }

    #[track_caller]
    fn add(&self) {
        // SAFETY: the access is exclusive: the cell checks it.
        self.0.with_mut(|p| unsafe { *p += 1 });
    }

    #[track_caller]
    fn get(&self) -> usize {
        // SAFETY: no thread writes: the cell checks it.
        self.0.with(|p| unsafe { *p })
    }
}

#[test]
fn races() {
    let text = fails(|| {
        let c = StdArc::new(Racy::new());
        let d = c.clone();
        thread::spawn(move || d.add());
        c.get();
    });
    assert!(text.contains("data race"), "{text}");
    let mp = |ord| {
        move || {
            let c = StdArc::new((Racy::new(), AtomicUsize::new(0)));
            let d = c.clone();
            thread::spawn(move || {
                d.0.add();
                d.1.store(1, ord);
            });
            if c.1.load(Acquire) == 1 {
                assert_eq!(c.0.get(), 1);
            }
        }
    };
    run(exact(), mp(Release));
    assert!(fails(mp(Relaxed)).contains("data race"));
}

#[test]
fn deadlock() {
    let text = fails(|| {
        let m = Arc::new((Mutex::new(0), Mutex::new(0)));
        let n = m.clone();
        thread::spawn(move || {
            let _a = n.0.lock();
            let _b = n.1.lock();
        });
        let _b = m.1.lock();
        let _a = m.0.lock();
    });
    println!("{text}");
    assert!(text.contains("deadlock"), "{text}");
}

#[test]
fn condvars() {
    for spurious in [0, 1] {
        let mut b = exact();
        b.spurious_wakeups = spurious;
        let r = run(b, || {
            let m = Arc::new((Mutex::new(false), Condvar::new()));
            let n = m.clone();
            let t = thread::spawn(move || {
                *n.0.lock().unwrap() = true;
                n.1.notify_one();
            });
            let mut g = m.0.lock().unwrap();
            while !*g {
                g = m.1.wait(g).unwrap();
            }
            drop(g);
            t.join().unwrap();
        });
        println!("{r}");
    }
    let text = fails(|| {
        let m = Arc::new((Mutex::new(false), Condvar::new()));
        let n = m.clone();
        let t = thread::spawn(move || {
            n.1.notify_one();
            *n.0.lock().unwrap() = true;
        });
        let mut g = m.0.lock().unwrap();
        while !*g {
            g = m.1.wait(g).unwrap();
        }
        drop(g);
        t.join().unwrap();
    });
    assert!(text.contains("deadlock"), "{text}");
    // A spurious wake-up is found.
    let text = fails(|| {
        let m = Arc::new((Mutex::new(false), Condvar::new()));
        let n = m.clone();
        let t = thread::spawn(move || {
            *n.0.lock().unwrap() = true;
            n.1.notify_one();
        });
        let mut g = m.0.lock().unwrap();
        if !*g {
            g = m.1.wait(g).unwrap();
        }
        assert!(*g);
        drop(g);
        t.join().unwrap();
    });
    assert!(text.contains("assertion failed"), "{text}");
}

#[test]
fn timeouts() {
    let r = run(exact(), || {
        let m = (Mutex::new(false), Condvar::new());
        let (_g, t) = m.1.wait_timeout(m.0.lock().unwrap(), Duration::from_secs(1)).unwrap();
        assert!(t.timed_out());
    });
    println!("{r}");
    let r = run(Builder::new(), || {
        let m = Arc::new((Mutex::new(false), Condvar::new()));
        let n = m.clone();
        let t = thread::spawn(move || {
            *n.0.lock().unwrap() = true;
            n.1.notify_one();
        });
        let (g, r) =
            m.1.wait_timeout_while(m.0.lock().unwrap(), Duration::from_secs(1), |d| !*d).unwrap();
        assert!(*g || r.timed_out());
        drop(g);
        t.join().unwrap();
    });
    println!("{r}");
    run(Builder::new(), || {
        thread::park_timeout(Duration::from_secs(1));
    });
}

#[test]
fn parking() {
    let r = run(Builder::new(), || {
        let flag = Arc::new(AtomicUsize::new(0));
        let f = flag.clone();
        let me = thread::current();
        let t = thread::spawn(move || {
            f.store(1, Relaxed);
            me.unpark();
        });
        while flag.load(Relaxed) == 0 {
            thread::park();
        }
        t.join().unwrap();
    });
    println!("{r}");
}

fn futex_mutex(wake: bool, n: usize, b: Builder) -> Report {
    b.explore(move || {
        let s = StdArc::new((AtomicU32::new(0), Racy::new()));
        let work = |s: StdArc<(AtomicU32, Racy)>| {
            move || {
                if s.0.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
                    while s.0.swap(2, Acquire) != 0 {
                        futex::wait(&s.0, 2);
                    }
                }
                s.1.add();
                if s.0.swap(0, Release) == 2 && wake {
                    futex::wake(&s.0, 1);
                }
            }
        };
        let ts: Vec<_> = (0..n).map(|_| thread::spawn(work(s.clone()))).collect();
        for t in ts {
            t.join().unwrap();
        }
        assert_eq!(s.1.get(), n);
    })
}

#[test]
fn futexes() {
    for (n, b) in [(2, exact()), (2, Builder::new()), (3, exact())] {
        let r = futex_mutex(true, n, b);
        println!("{n}: {r}");
        assert!(r.failure.is_none(), "{}", r.failure.unwrap());
    }
    let r = futex_mutex(false, 2, Builder::new());
    assert!(r.failure.expect("lost wake-up").message.contains("deadlock"));
}

fn bits(channels: u32) -> std::num::NonZeroU32 {
    std::num::NonZeroU32::new(channels).expect("at least one channel")
}

/// Two sleepers on channels of their own, told to go on one after the other: by wakes on `first`
/// and `second`. Gives what the first wake woke, in every execution, or the failure.
fn two_channels(first: u32, second: u32) -> Result<Vec<usize>, String> {
    let woken = StdArc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let seen = woken.clone();
    let report = exact().explore(move || {
        let word = StdArc::new(AtomicU32::new(0));
        let sleepers: Vec<_> = [1, 2]
            .map(|channel| {
                let word = word.clone();
                thread::spawn(move || {
                    while word.load(Acquire) < channel {
                        let now = word.load(Relaxed);
                        if now < channel {
                            futex::wait_bitset(&word, now, bits(channel));
                        }
                    }
                })
            })
            .into();
        word.store(2, Release);
        let n = futex::wake_bitset(&raw const *word, usize::MAX, bits(first));
        seen.lock().expect("not poisoned").insert(n);
        futex::wake_bitset(&raw const *word, usize::MAX, bits(second));
        sleepers.into_iter().for_each(|t| t.join().expect("it ends"));
    });
    let woken = woken.lock().expect("not poisoned").iter().copied().collect();
    report.failure.map_or(Ok(woken), |f| Err(f.message))
}

#[test]
fn channels_of_a_futex() {
    // A wake on one channel passes over who sleeps on the other.
    assert_eq!(two_channels(1, 2).expect("both are woken"), [0, 1]);
    assert_eq!(two_channels(3, 1).expect("the first wake is for both"), [0, 1, 2]);
    for lost in [(1, 1), (2, 2)] {
        assert!(two_channels(lost.0, lost.1).expect_err("one sleeps forever").contains("deadlock"));
    }
}

/// A waiter that is moved to another word takes its channel along.
#[test]
fn channels_of_a_futex_move() {
    let model = |channel| {
        move || {
            let words = StdArc::new([AtomicU32::new(0), AtomicU32::new(0)]);
            let sleeper = {
                let words = words.clone();
                thread::spawn(move || futex::wait_bitset(&words[0], 0, bits(2)))
            };
            futex::requeue(&words[0], 0, 0, 1, &words[1]);
            words[0].store(1, Relaxed);
            futex::wake_bitset(&words[0], 1, bits(2));
            futex::wake_bitset(&words[1], 1, bits(channel));
            sleeper.join().unwrap();
        }
    };
    run(exact(), model(2));
    assert!(fails(model(1)).contains("deadlock"));
}

#[test]
fn others() {
    let r = run(exact(), || {
        let l = Arc::new(RwLock::new(0));
        let k = l.clone();
        let t = thread::spawn(move || *k.write().unwrap() += 1);
        let v = *l.read().unwrap();
        assert!(v < 2);
        t.join().unwrap();
    });
    println!("rwlock {r}");
    let r = run(exact(), || {
        let l = Arc::new(Barrier::new(2));
        let k = l.clone();
        let t = thread::spawn(move || k.wait().is_leader());
        let a = l.wait().is_leader();
        assert!(a != t.join().unwrap());
    });
    println!("barrier {r}");
    static CELL: OnceLock<usize> = OnceLock::new();
    let r = run(exact(), || {
        let l = Arc::new(OnceLock::new());
        let k = l.clone();
        let t = thread::spawn(move || *k.get_or_init(|| 1));
        let a = *l.get_or_init(|| 2);
        assert_eq!(a, t.join().unwrap());
    });
    println!("once {r}");
    let _ = &CELL;
    let r = run(exact(), || {
        let (tx, rx) = verify::sync::mpsc::channel();
        let t2 = tx.clone();
        thread::spawn(move || tx.send(1).unwrap());
        thread::spawn(move || t2.send(2).unwrap());
        assert_eq!(rx.iter().sum::<i32>(), 3);
    });
    println!("mpsc {r}");
}

#[test]
fn spinning() {
    let r = run(Builder::new(), || {
        let f = Arc::new(AtomicUsize::new(0));
        let g = f.clone();
        thread::spawn(move || g.store(1, Release));
        while f.load(Acquire) == 0 {
            verify::hint::spin_loop();
        }
    });
    println!("spin {r}");
    let r = run(Builder::new(), || {
        let f = Arc::new(AtomicUsize::new(0));
        let g = f.clone();
        thread::spawn(move || g.store(1, Release));
        while f.load(Acquire) == 0 {}
    });
    println!("silent spin {r}");
    let r = run(Builder::new(), || {
        let f = StdArc::new((AtomicUsize::new(0), Racy::new()));
        for _ in 0..2 {
            let s = f.clone();
            thread::spawn(move || {
                while s.0.swap(1, Acquire) == 1 {
                    verify::hint::spin_loop();
                }
                s.1.add();
                s.0.store(0, Release);
            });
        }
    });
    println!("tas {r}");
    let text = fails(|| {
        let f = AtomicUsize::new(0);
        while f.load(Acquire) == 0 {
            verify::hint::spin_loop();
        }
    });
    assert!(text.contains("non-termination"), "{text}");
    let text = fails(|| {
        let f = AtomicUsize::new(0);
        while f.load(Acquire) == 0 {}
    });
    assert!(text.contains("non-termination"), "{text}");
}

/// Locks and read-modify-writes that have nothing to do with each other: their orders multiply.
#[test]
fn orders_multiply() {
    let count = |n: usize, f: fn(&Mutex<usize>, &AtomicUsize)| {
        let r = run(exact(), move || {
            let s = StdArc::new((Mutex::new(0), AtomicUsize::new(0)));
            for _ in 0..n {
                let s = s.clone();
                thread::spawn(move || f(&s.0, &s.1));
            }
        });
        (r.executions, r.blocked)
    };
    for (n, want) in [(2, 2), (3, 6), (4, 24)] {
        assert_eq!(
            count(n, |m, x| {
                x.fetch_add(1, Relaxed);
                *m.lock().unwrap() += 1;
            }),
            (want * want, 0)
        );
        assert_eq!(
            count(n, |m, x| {
                *m.lock().unwrap() += 1;
                x.fetch_add(1, Relaxed);
            }),
            (want * want, 0)
        );
        assert_eq!(
            count(n, |m, x| {
                let _g = m.lock();
                x.fetch_add(1, Relaxed);
            }),
            (want, 0)
        );
    }
    assert_eq!(
        count(3, |m, _| {
            *m.lock().unwrap() += 1;
            *m.lock().unwrap() += 1;
        }),
        (90, 0)
    );
    assert_eq!(
        count(2, |m, x| {
            *m.lock().unwrap() += 1;
            x.fetch_add(1, Relaxed);
            *m.lock().unwrap() += 1;
            x.fetch_add(1, Relaxed);
        }),
        (
            count(2, |m, x| {
                x.fetch_add(1, Relaxed);
                *m.lock().unwrap() += 1;
                x.fetch_add(1, Relaxed);
                *m.lock().unwrap() += 1;
            })
            .0,
            0
        )
    );
}
