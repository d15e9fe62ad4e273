//! A cache: many threads look words up at the same time; a word that is missing is computed once,
//! while the others still look up, and put in without another look.
//!
//! The same with `std`, which has no upgradable lock and so needs a second one:
//!
//! ```ignore
//! use std::collections::HashMap;
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! use std::sync::{Mutex, RwLock};
//! use std::thread;
//!
//! static COMPUTED: AtomicU32 = AtomicU32::new(0);
//!
//! fn compute(word: &str) -> usize {
//!     COMPUTED.fetch_add(1, Relaxed);
//!     word.len()
//! }
//!
//! #[derive(Default)]
//! struct Cache {
//!     words: RwLock<HashMap<&'static str, usize>>,
//!     computing: Mutex<()>,
//! }
//!
//! impl Cache {
//!     fn length(&self, word: &'static str) -> usize {
//!         if let Some(&length) = self.words.read().unwrap().get(word) {
//!             return length;
//!         }
//!         let _alone = self.computing.lock().unwrap();
//!         if let Some(&length) = self.words.read().unwrap().get(word) {
//!             return length;
//!         }
//!         let length = compute(word);
//!         self.words.write().unwrap().insert(word, length);
//!         length
//!     }
//! }
//!
//! fn main() {
//!     let cache = Cache::default();
//!     thread::scope(|scope| {
//!         for _ in 0..4 {
//!             scope.spawn(|| assert_eq!(["one", "three"].map(|word| cache.length(word)), [3, 5]));
//!         }
//!     });
//!     println!("4 threads, 2 words, {} computed", COMPUTED.load(Relaxed));
//! }
//! ```
//!
//! There nothing but care keeps another thread from writing between the look and the insertion.
//! (`parking_lot` has an upgradable lock too; with it the program is as long as this one.)

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use sync_core::{RwLock, RwLockUpgradableReadGuard};

static COMPUTED: AtomicU32 = AtomicU32::new(0);

fn compute(word: &str) -> usize {
    COMPUTED.fetch_add(1, Relaxed);
    word.len()
}

#[derive(Default)]
struct Cache(RwLock<HashMap<&'static str, usize>>);

impl Cache {
    fn length(&self, word: &'static str) -> usize {
        if let Some(&length) = self.0.read().get(word) {
            return length;
        }
        let mut words = self.0.upgradable_read();
        if let Some(&length) = words.get(word) {
            return length;
        }
        let length = compute(word);
        RwLockUpgradableReadGuard::with_upgraded(&mut words, |words| words.insert(word, length));
        length
    }
}

fn main() {
    let cache = Cache::default();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(["one", "three"].map(|word| cache.length(word)), [3, 5]));
        }
    });
    println!("4 threads, 2 words, {} computed", COMPUTED.load(Relaxed));
}
