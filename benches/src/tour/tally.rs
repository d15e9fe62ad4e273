//! `Tally`: files, bytes and words.

use std::collections::HashMap;
use std::io::{self, Read};

use foldhash::fast::RandomState;

/// Files, bytes, words, and how often each word came.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Files counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their words: `str::split_whitespace` over lossy UTF-8.
    pub words: u64,
    /// Files and folders that could not be read.
    pub unreadable: u64,
    frequencies: HashMap<Box<str>, u64, RandomState>,
}

impl Tally {
    /// Different words.
    pub fn distinct(&self) -> usize {
        self.frequencies.len()
    }

    /// Adds another tally to this one.
    pub fn merge(&mut self, mut other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.words += other.words;
        self.unreadable += other.unreadable;
        if other.frequencies.len() > self.frequencies.len() {
            std::mem::swap(&mut self.frequencies, &mut other.frequencies);
        }
        for (word, count) in other.frequencies {
            *self.frequencies.entry(word).or_default() += count;
        }
    }

    /// The most frequent words, of equally frequent ones those first that sort first.
    pub fn top(&self, most: usize) -> Vec<(&str, u64)> {
        let mut words: Vec<(&str, u64)> =
            self.frequencies.iter().map(|(word, &count)| (&**word, count)).collect();
        let order = |a: &(&str, u64), b: &(&str, u64)| b.1.cmp(&a.1).then(a.0.cmp(b.0));
        if words.len() > most {
            words.select_nth_unstable_by(most, order);
            words.truncate(most);
        }
        words.sort_unstable_by(order);
        words
    }

    fn add_text(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        for word in String::from_utf8_lossy(bytes).split_whitespace() {
            self.words += 1;
            match self.frequencies.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    self.frequencies.insert(word.into(), 1);
                }
            }
        }
    }
}

/// Counts files one after the other into one buffer.
#[derive(Debug)]
pub struct Counter {
    buffer: Vec<u8>,
}

impl Default for Counter {
    fn default() -> Self {
        Self::with_buffer(1 << 20)
    }
}

impl Counter {
    /// A counter that reads so much at once.
    pub fn with_buffer(size: usize) -> Self {
        Self { buffer: vec![0; size.max(1)] }
    }

    /// Adds a file to the tally: all of it or, when it cannot be read to its end or `stopped` says
    /// so, nothing. Says how many bytes it had, `None` if stopped.
    ///
    /// # Errors
    ///
    /// When reading fails; the tally is as it was.
    pub fn add(
        &mut self,
        file: &mut impl Read,
        tally: &mut Tally,
        stopped: impl Fn() -> bool,
    ) -> io::Result<Option<u64>> {
        // A large file is counted piece by piece, and beside the tally: its end may turn out to be
        // unreadable.
        let mut beside: Option<Tally> = None;
        let mut filled = 0;
        loop {
            match file.read(&mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if filled < self.buffer.len() {
                continue;
            }
            if stopped() {
                return Ok(None);
            }
            match self.buffer.iter().rposition(|&byte| ends_word(byte)) {
                Some(at) => {
                    beside.get_or_insert_default().add_text(&self.buffer[..=at]);
                    self.buffer.copy_within(at + 1.., 0);
                    filled -= at + 1;
                }
                // A word longer than the buffer.
                None => self.buffer.resize(self.buffer.len() * 2, 0),
            }
        }
        let rest = &self.buffer[..filled];
        let Some(mut beside) = beside else {
            tally.add_text(rest);
            tally.files += 1;
            return Ok(Some(rest.len() as u64));
        };
        beside.add_text(rest);
        beside.files = 1;
        let bytes = beside.bytes;
        tally.merge(beside);
        Ok(Some(bytes))
    }
}

/// White space of one byte. It is never part of a longer character, valid or broken, so that a text
/// may be cut behind it without a change in how either half is decoded.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &[u8], buffer: usize) -> Tally {
        let mut tally = Tally::default();
        let bytes = Counter::with_buffer(buffer).add(&mut &*text, &mut tally, || false).unwrap();
        assert_eq!(bytes, Some(text.len() as u64));
        tally
    }

    /// The definition, word for word.
    fn naive(text: &[u8]) -> Tally {
        let mut tally = Tally { files: 1, bytes: text.len() as u64, ..Tally::default() };
        for word in String::from_utf8_lossy(text).split_whitespace() {
            tally.words += 1;
            *tally.frequencies.entry(word.into()).or_default() += 1;
        }
        tally
    }

    #[test]
    fn pieces_of_any_size_give_what_the_whole_gives() {
        // Bytes that make every trouble: broken and whole characters, white space of one byte and
        // of several, NUL.
        let parts: [&[u8]; 12] = [
            b"a",
            b"b",
            b" ",
            b"\n",
            b"\x0b",
            "é".as_bytes(),
            "\u{2003}".as_bytes(),
            "\u{85}".as_bytes(),
            b"\xff",
            b"\xe2\x80",
            b"\0",
            b"\x1c",
        ];
        let mut state = 7_u64;
        for round in 0..300 {
            let mut text = Vec::new();
            for _ in 0..round % 60 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                text.extend_from_slice(parts[(state >> 33) as usize % parts.len()]);
            }
            for buffer in [1, 2, 3, 7, 64, 4096] {
                assert_eq!(tally(&text, buffer), naive(&text), "{text:?} by {buffer}");
            }
        }
    }

    /// Gives its text and then fails.
    struct Failing<'a>(&'a [u8]);

    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("broken disk")),
                n => Ok(n),
            }
        }
    }

    #[test]
    fn a_file_that_fails_at_its_end_leaves_no_trace() {
        for buffer in [4, 1024] {
            let mut all = tally(b"one two", 64);
            let before = all.clone();
            let result = Counter::with_buffer(buffer).add(
                &mut Failing(b"a b c d e f g h"),
                &mut all,
                || false,
            );
            assert!(result.is_err());
            assert_eq!(all, before);
        }
    }

    #[test]
    fn a_large_file_stops_when_told_to_and_leaves_no_trace() {
        let mut all = Tally::default();
        assert_eq!(
            Counter::with_buffer(4).add(&mut &b"a b c d e f"[..], &mut all, || true).unwrap(),
            None
        );
        assert_eq!(all, Tally::default());
    }

    #[test]
    fn ties_are_broken_by_the_alphabet() {
        let tally = tally(b"d c b a b a e", 64);
        assert_eq!(tally.top(3), [("a", 2), ("b", 2), ("c", 1)]);
        assert_eq!(tally.top(10).len(), 5);
        assert_eq!(Tally::default().top(10), []);
    }

    #[test]
    fn merging_is_counting_both() {
        let (one, two) = (&b"a b b"[..], &b"b c d e f"[..]);
        for (first, second) in [(one, two), (two, one)] {
            let mut merged = tally(first, 64);
            merged.merge(tally(second, 64));
            assert_eq!(
                (merged.files, merged.words, merged.bytes, merged.distinct()),
                (2, 8, 14, 6)
            );
            assert_eq!(merged.top(1), [("b", 3)]);
        }
    }
}
