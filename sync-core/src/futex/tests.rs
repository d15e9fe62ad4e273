//! Tests of the promises of the module, on the real clock.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::{
    Channel, Deadline, requeue, wait, wait_channel, wait_until, wake, wake_channel, wake_one,
};

/// Waits until `done`, and keeps trying: for conditions that another thread brings about.
fn until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "still not so after a minute");
        thread::yield_now();
    }
}

#[test]
fn a_changed_word_does_not_sleep() {
    let word = AtomicU32::new(1);
    wait(&word, 0);
    assert!(wait_until(&word, 0, Deadline::after(Duration::from_secs(3600)).unwrap()));
}

#[test]
fn a_deadline_passes_and_never_early() {
    let word = AtomicU32::new(0);
    let started = Instant::now();
    while wait_until(&word, 0, Deadline::at(started + Duration::from_millis(20)).unwrap()) {}
    assert!(started.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_deadline_in_the_past_returns_at_once() {
    let word = AtomicU32::new(0);
    assert!(!wait_until(&word, 0, Deadline::at(Instant::now()).unwrap()));
}

#[test]
fn the_longest_duration_means_forever() {
    assert_eq!(Deadline::after(Duration::MAX), None);
    let year = Duration::from_secs(365 * 24 * 3600);
    assert!(Deadline::after(year) > Deadline::after(Duration::ZERO));
}

#[test]
fn wake_takes_a_dead_address() {
    let word = Box::new(AtomicU32::new(0));
    let address: *const AtomicU32 = &raw const *word;
    drop(word);
    wake_one(address);
    assert_eq!(wake(address, 7), 0);
}

#[test]
fn wake_counts_and_requeue_moves() {
    let words = Arc::new([const { AtomicU32::new(0) }; 2]);
    let back = Arc::new(AtomicU32::new(0));
    let sleepers: Vec<_> = (0..4)
        .map(|_| {
            let (words, back) = (Arc::clone(&words), Arc::clone(&back));
            thread::spawn(move || {
                while words[0].load(Ordering::Acquire) == 0 {
                    wait(&words[0], 0);
                }
                back.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    // The start of a sleep cannot be observed, so move the sleepers until all four were moved: a
    // wake on the second word counts them.
    words[1].store(1, Ordering::Relaxed);
    assert!(!requeue(&words[0], 1, 0, 4, &words[1]), "the word is not 1");
    let mut moved = 0;
    until(|| {
        assert!(requeue(&words[0], 0, 0, u32::MAX, &words[1]));
        moved += wake(&words[1], u32::MAX);
        moved >= 4
    });
    assert_eq!(back.load(Ordering::Relaxed), 0, "the first word is still 0");
    words[0].store(1, Ordering::Release);
    until(|| {
        wake(&words[0], 1);
        back.load(Ordering::Relaxed) == 4
    });
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
}

#[test]
fn a_wake_on_one_channel_leaves_the_others_asleep() {
    let word = Arc::new(AtomicU32::new(0));
    let awake = Arc::new([const { AtomicU32::new(0) }; 2]);
    let sleepers: Vec<_> = [0, 1]
        .map(|n| {
            let (word, awake) = (Arc::clone(&word), Arc::clone(&awake));
            thread::spawn(move || {
                while word.load(Ordering::Relaxed) <= n {
                    // Only the end of a real sleep may be counted: a spurious wake-up finds the
                    // word as it was.
                    wait_channel(&word, n, None, Channel::new(n));
                }
                awake[n as usize].store(1, Ordering::Relaxed);
            })
        })
        .into();
    // Channel 1 sleeps on a word of 1, channel 0 must be asleep before that.
    until(|| {
        word.store(1, Ordering::Relaxed);
        wake_channel(&raw const *word, 1, Channel::new(0));
        awake[0].load(Ordering::Relaxed) == 1
    });
    assert_eq!(awake[1].load(Ordering::Relaxed), 0);
    until(|| {
        assert_eq!(
            wake_channel(&raw const *word, 7, Channel::new(0)),
            0,
            "no thread is left on this channel"
        );
        wake_channel(&raw const *word, 1, Channel::new(1)) == 1
    });
    word.store(2, Ordering::Relaxed);
    wake_channel(&raw const *word, 1, Channel::new(1));
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
}

/// A private wait is keyed by the address in this process, a shared one by the memory behind it: a
/// wake of one kind does not reach a sleeper of the other kind on the same word.
#[cfg(all(target_os = "linux", not(sync_futex_fallback)))]
#[test]
fn what_is_private_is_not_what_is_shared() {
    use super::shared;
    let word = Arc::new(AtomicU32::new(0));
    for shared in [false, true] {
        let theirs = Arc::clone(&word);
        word.store(0, Ordering::Relaxed);
        let waits = thread::spawn(move || match shared {
            true => shared::wait_maybe(&theirs, 0, None),
            false => super::wait_maybe(&theirs, 0, None),
        });
        let wakes: [fn(*const AtomicU32) -> usize; 2] =
            [|word| wake(word, 1), |word| shared::wake(word, 1)];
        // Both kinds wake until the thread sleeps; only the wake of its own kind reaches it.
        until(|| {
            assert_eq!(
                wakes[usize::from(!shared)](&raw const *word),
                0,
                "the other kind wakes no thread"
            );
            wakes[usize::from(shared)](&raw const *word) == 1
        });
        assert!(waits.join().unwrap());
    }
}
