//! The invariants of the module, checked from inside. What it does is compared with a naive list in
//! `tests/property/wheel.rs`.

use super::*;

impl<T> TimerWheel<T> {
    /// Panics where an invariant does not hold.
    fn check(&mut self) {
        self.heap.check(&mut self.slab);
        let mut linked = 0;
        for level in 0..LEVELS as u32 {
            for slot in 0..SLOTS as u32 {
                let number = level << LEVEL_BITS | slot;
                let (earliest, entries) =
                    (self.bucket(number).earliest, self.bucket(number).entries.clone());
                assert_eq!(!entries.is_empty(), self.occupied[level as usize] >> slot & 1 == 1);
                for (at, &index) in entries.iter().enumerate() {
                    let position = self.position;
                    let entry = self.slab.entry(index);
                    assert_eq!(
                        (entry.location, u32::from(entry.bucket), entry.at),
                        (Location::Bucket, number, at as u32)
                    );
                    assert!(earliest <= entry.deadline, "invariant 4");
                    let tick = entry.deadline >> TICK_BITS;
                    if self.draining != Some(number) {
                        assert!(tick > position, "invariant 1");
                        assert_eq!((tick ^ position).ilog2() / LEVEL_BITS, level, "invariant 1");
                        assert_eq!(
                            tick >> (level * LEVEL_BITS) & 63,
                            u64::from(slot),
                            "invariant 1"
                        );
                    }
                }
                linked += entries.len();
            }
            assert_eq!(self.occupied[level as usize] != 0, self.levels >> level & 1 == 1);
        }
        assert!(linked <= self.len());
    }
}

/// A small generator of numbers that look random; the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn invariants_hold_after_every_step_also_between_partial_drains() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut wheel = TimerWheel::new();
    let mut keys = Vec::new();
    let mut now = 0u64;
    for step in 0..4_000 {
        match numbers.next() % 8 {
            0..4 => {
                let far = numbers.next() % 50;
                keys.push(wheel.insert(now.saturating_add(numbers.next() >> (63 - far)), step));
            }
            4 if !keys.is_empty() => {
                let at = numbers.next() as usize % keys.len();
                wheel.remove(keys.swap_remove(at));
            }
            5 => {
                let far = numbers.next() % 44;
                now += numbers.next() >> (63 - far);
            }
            6 => wheel.observe(now),
            _ => {
                while !wheel.advance(now, 3) {
                    wheel.check();
                    keys.push(wheel.insert(now + numbers.next() % 1_000_000, step));
                }
                while wheel
                    .first_sorted(now)
                    .is_some_and(|(key, deadline)| deadline <= now && wheel.release(key).is_some())
                {
                }
            }
        }
        if step % 16 == 0 {
            wheel.check();
        }
    }
    wheel.check();
}

#[test]
fn the_ends_of_time() {
    let mut wheel = TimerWheel::new();
    wheel.insert(u64::MAX, "last");
    wheel.insert(0, "first");
    assert_eq!(wheel.next_wake(), Some(0));
    assert_eq!(wheel.pop(0), Some((0, "first")));
    assert_eq!(wheel.pop(u64::MAX - 1), None);
    wheel.check();
    assert_eq!(wheel.next_wake(), Some(u64::MAX));
    assert_eq!(wheel.pop(u64::MAX), Some((u64::MAX, "last")));
    wheel.check();
}

#[test]
fn a_far_timer_costs_one_wake_up() {
    let mut wheel = TimerWheel::new();
    let year = 365 * 86_400_000_000_000;
    wheel.insert(year, ());
    // Once with nothing else to say, and never on the way.
    let wake = wheel.next_wake().expect("there is a timer");
    assert!(wake <= year && year - wake <= DRAIN_COST);
    assert!(wheel.advance(wake, usize::MAX));
    assert_eq!(wheel.next_wake(), Some(year));
}

#[test]
fn a_timer_costs_forty_bytes_and_its_place_in_a_bucket() {
    assert_eq!(size_of::<slab::Entry<Box<dyn FnOnce() + Send>>>(), 40);
    let mut wheel = TimerWheel::<Box<dyn FnOnce() + Send>>::new();
    let empty = wheel.allocated_bytes();
    for n in 0..1_000_000u64 {
        wheel.insert(n * 3_600_000, Box::new(|| ()));
    }
    let each = (wheel.allocated_bytes() - empty) as f64 / 1e6;
    assert!((44.0..50.0).contains(&each), "{each} bytes");
}

#[test]
fn memory_is_given_back() {
    let mut wheel = TimerWheel::new();
    let empty = wheel.allocated_bytes();
    let keys: Vec<_> = (0..100_000u64).map(|n| wheel.insert(n << 20, n)).collect();
    assert!(wheel.allocated_bytes() > 100_000 * 40);
    for &key in &keys {
        assert!(wheel.remove(key).is_some());
    }
    // At most one chunk of the slab is kept, and a small heap.
    let little = 512 * 40 + 1024 * 24 + 512 * 16 * 4;
    assert!(wheel.allocated_bytes() <= empty + little, "{} bytes", wheel.allocated_bytes());
    assert!(keys.iter().all(|&key| wheel.remove(key).is_none()));
    // The same through the heap.
    for n in 0..100_000 {
        wheel.insert(0, n);
    }
    while wheel.pop(0).is_some() {}
    assert!(wheel.allocated_bytes() <= empty + little, "{} bytes", wheel.allocated_bytes());
}

/// A timer linked while a run is being fired, between two deadlines of the run, goes off between
/// them.
#[test]
fn a_latecomer_takes_its_place_in_the_run() {
    let mut wheel = TimerWheel::new();
    // Far enough to share a bucket of a high level, which becomes a run as a whole.
    let second = 1_000_000_000;
    for deadline in [100 * second, 100 * second + second / 4, 100 * second + second / 2] {
        wheel.insert(deadline, deadline);
    }
    let now = 200 * second;
    assert_eq!(wheel.pop(now).map(|(deadline, _)| deadline), Some(100 * second));
    wheel.insert(100 * second + second / 3, 0);
    let rest: Vec<_> =
        core::iter::from_fn(|| wheel.pop(now)).map(|(deadline, _)| deadline).collect();
    assert_eq!(
        rest,
        [100 * second + second / 4, 100 * second + second / 3, 100 * second + second / 2]
    );
}
