//! Models that no checker likes: each gets a diagnosis that names the place.

use std::sync::atomic::{AtomicUsize as RealAtomic, Ordering::Relaxed as RealRelaxed};
use verify::model::Builder;
use verify::sync::Arc;
use verify::sync::atomic::{AtomicUsize, Ordering::*};
use verify::thread;

fn diagnosis(f: impl Fn() + Send + Sync + 'static) -> String {
    let text = Builder::new()
        .explore(f)
        .failure
        .expect("a diagnosis")
        .to_string();
    assert!(text.contains("bad_models.rs"), "it names no place: {text}");
    text
}

#[test]
fn nondeterministic() {
    static RUNS: RealAtomic = RealAtomic::new(0);
    let text = diagnosis(|| {
        let x = std::sync::Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || y.store(1, Relaxed));
        if RUNS.fetch_add(1, RealRelaxed).is_multiple_of(2) {
            x.load(Relaxed);
        } else {
            x.store(2, Relaxed);
        }
        x.load(Relaxed);
    });
    assert!(text.contains("not deterministic"), "{text}");
}

#[test]
fn panicking() {
    let text = diagnosis(|| {
        thread::spawn(|| panic!("on purpose"));
    });
    assert!(text.contains("on purpose"), "{text}");
}

#[test]
fn storing_for_ever() {
    let text = diagnosis(|| {
        let x = AtomicUsize::new(0);
        loop {
            x.fetch_add(1, Relaxed);
        }
    });
    assert!(text.contains("maximum number of branches"), "{text}");
}

#[test]
fn waiting_for_nobody() {
    let text = diagnosis(|| {
        let x = AtomicUsize::new(0);
        while x.load(Relaxed) == 0 {
            thread::yield_now();
        }
    });
    assert!(text.contains("non-termination"), "{text}");
}

#[test]
fn thousands_of_threads() {
    let text = diagnosis(|| {
        for _ in 0..5_000 {
            thread::spawn(|| ());
        }
    });
    assert!(text.contains("more than 64 threads"), "{text}");
}

#[test]
fn a_thread_that_stays_asleep() {
    let text = diagnosis(|| {
        thread::spawn(thread::park);
    });
    assert!(
        text.contains("deadlock") && text.contains("thread 1"),
        "{text}"
    );
}

#[test]
fn a_leak() {
    let text = diagnosis(|| std::mem::forget(Arc::new(1)));
    assert!(text.contains("leaked"), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_stack_that_overflows() {
    #[expect(unconditional_recursion, reason = "on purpose")]
    fn deeper(n: &AtomicUsize) -> usize {
        let frame = std::hint::black_box([n.load(Relaxed); 64]);
        deeper(n) + frame[1]
    }
    let model = || {
        let n = AtomicUsize::new(1);
        let mut frames = 0_usize;
        fn without_steps(depth: &mut usize) -> usize {
            *depth += 1;
            let frame = std::hint::black_box([*depth; 64]);
            if frame[0] == usize::MAX {
                0
            } else {
                without_steps(depth) + frame[1]
            }
        }
        n.store(2, Relaxed);
        without_steps(&mut frames);
        deeper(&n);
    };
    let text = diagnosis(model);
    assert!(text.contains("stack overflow"), "{text}");
}
