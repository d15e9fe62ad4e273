//! The targets without libFuzzer: changes of their corpora, by numbers from a seed.
//!
//!     seeded SECONDS [SEED]

use std::path::Path;
use std::time::{Duration, Instant};

use sync_ipc_fuzz::TARGETS;

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Changes some bytes, doubles or removes a piece, or appends another input.
fn change(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(16)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.extend_from_slice(&inputs[random.below(inputs.len())]),
            _ => bytes.insert(at, [0, 1, 0x7f, 0x80, 0xff][random.below(5)]),
        }
    }
    bytes.truncate(1 << 12);
    bytes
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>().expect("a number"));
    let seconds = arguments.next().expect("the number of seconds");
    let seed = arguments.next().unwrap_or(0x5eed_f022);
    println!("seed {seed}");
    let mut random = Random(seed);
    for (name, run) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let inputs: Vec<Vec<u8>> = std::fs::read_dir(folder)
            .expect("the corpus")
            .map(|entry| std::fs::read(entry.expect("a name").path()).expect("a file"))
            .collect();
        inputs.iter().for_each(|input| run(input));
        let (end, mut runs) = (Instant::now() + Duration::from_secs(seconds) / 3, 0_u64);
        while Instant::now() < end {
            run(&change(&mut random, &inputs));
            runs += 1;
        }
        println!("{name}: {runs} inputs");
    }
}
