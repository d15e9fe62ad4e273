//! A sequence lock (Boehm, MSPC 2012): readers take what they read only if no writer was there
//! meanwhile.

use std::sync::Arc;

use super::checker::sync::atomic::{AtomicUsize, Ordering, Ordering::*, fence};
use super::support::{fails, fails_for_an_ordering, passes, run};

#[derive(Clone, Copy)]
struct Variant {
    /// After the sequence is made odd: no write is seen before that.
    write_fence: Option<Ordering>,
    /// Makes the sequence even again: all writes are seen by then.
    write_end: Ordering,
    /// The reader's first look at the sequence.
    read_begin: Ordering,
    /// Before the reader's second look: all its reads come before that.
    read_fence: Option<Ordering>,
    /// Whether the reader refuses an odd sequence.
    odd_refused: bool,
}

const RIGHT: Variant = Variant {
    write_fence: Some(Release),
    write_end: Release,
    read_begin: Acquire,
    read_fence: Some(Acquire),
    odd_refused: true,
};

struct SeqLock {
    sequence: AtomicUsize,
    data: [AtomicUsize; 2],
}

fn optional(ordering: Option<Ordering>) {
    if let Some(ordering) = ordering {
        fence(ordering);
    }
}

impl SeqLock {
    /// For one writer at a time.
    fn write(&self, value: usize, variant: Variant) {
        let sequence = self.sequence.load(Relaxed);
        self.sequence.store(sequence + 1, Relaxed);
        optional(variant.write_fence);
        self.data.iter().for_each(|word| word.store(value, Relaxed));
        self.sequence.store(sequence + 2, variant.write_end);
    }

    fn try_read(&self, variant: Variant) -> Option<[usize; 2]> {
        let before = self.sequence.load(variant.read_begin);
        if variant.odd_refused && before % 2 == 1 {
            return None;
        }
        let data = [self.data[0].load(Relaxed), self.data[1].load(Relaxed)];
        optional(variant.read_fence);
        (self.sequence.load(Relaxed) == before).then_some(data)
    }
}

fn model(reversed: bool, variant: Variant) {
    let word = || AtomicUsize::new(0);
    let lock = Arc::new(SeqLock { sequence: word(), data: [word(), word()] });
    let reader = lock.clone();
    run(
        reversed,
        vec![
            Box::new(move || (1..=2).for_each(|value| lock.write(value, variant))),
            Box::new(move || {
                if let Some([first, second]) = reader.try_read(variant) {
                    assert_eq!(first, second, "a torn read");
                }
            }),
        ],
    );
}

#[test]
fn right() {
    passes(|reversed| model(reversed, RIGHT));
}

#[test]
fn written_without_a_fence() {
    fails_for_an_ordering(&["torn"], |reversed| {
        model(reversed, Variant { write_fence: None, ..RIGHT })
    });
}

#[test]
fn write_ended_relaxed() {
    fails_for_an_ordering(&["torn"], |reversed| {
        model(reversed, Variant { write_end: Relaxed, ..RIGHT })
    });
}

#[test]
fn read_begun_relaxed() {
    fails_for_an_ordering(&["torn"], |reversed| {
        model(reversed, Variant { read_begin: Relaxed, ..RIGHT })
    });
}

#[test]
fn read_without_a_fence() {
    fails(&["torn"], |reversed| model(reversed, Variant { read_fence: None, ..RIGHT }));
}

#[test]
fn odd_accepted() {
    fails(&["torn"], |reversed| model(reversed, Variant { odd_refused: false, ..RIGHT }));
}
