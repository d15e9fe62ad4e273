//! A cache: many threads look words up at the same time; a word that is missing is computed once,
//! while the others still look up, and put in without another look.
//!
//! The same with `std`, which has no upgradable lock: after the write lock is taken, another thread
//! may have put the word in, so it is looked up twice, and may be computed twice.
//!
//! ```ignore
//! fn length(&self, word: &'static str) -> usize {
//!     if let Some(&length) = self.0.read().unwrap().get(word) {
//!         return length;
//!     }
//!     let computed = compute(word);
//!     let mut cache = self.0.write().unwrap();
//!     if let Some(&length) = cache.get(word) {
//!         return length;
//!     }
//!     cache.insert(word, computed);
//!     computed
//! }
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sync_core::{RwLock, RwLockUpgradableReadGuard, thread};

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
        let mut cache = self.0.upgradable_read();
        cache.get(word).copied().unwrap_or_else(|| {
            let length = compute(word);
            RwLockUpgradableReadGuard::with_upgraded(&mut cache, |cache| {
                cache.insert(word, length)
            });
            length
        })
    }
}

fn main() {
    let cache = Cache::default();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope
                .spawn(|| assert_eq!(["one", "three"].map(|word| cache.length(word)), [3, 5]))
                .expect("a thread");
        }
    });
    println!("4 threads, 2 words, {} computed", COMPUTED.load(Relaxed));
}
