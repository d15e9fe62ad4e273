//! A set of small numbers that knows its smallest member.

/// Numbers as bits, with a hint where the first one is.
#[derive(Debug, Default)]
pub(super) struct BitSet {
    words: Vec<u64>,
    /// No word before this one has a bit.
    first: usize,
}

impl BitSet {
    pub(super) const fn new() -> Self {
        Self { words: Vec::new(), first: 0 }
    }

    pub(super) fn insert(&mut self, number: usize) {
        let word = number / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (number % 64);
        self.first = self.first.min(word);
    }

    pub(super) fn remove(&mut self, number: usize) {
        if let Some(word) = self.words.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// The smallest member.
    pub(super) fn first(&mut self) -> Option<usize> {
        while let Some(word) = self.words.get(self.first) {
            if *word != 0 {
                return Some(self.first * 64 + word.trailing_zeros() as usize);
            }
            self.first += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::BitSet;

    #[test]
    fn first_is_the_smallest_whatever_the_order() {
        let mut set = BitSet::new();
        assert_eq!(set.first(), None);
        for number in [700, 3, 64, 65, 0] {
            set.insert(number);
        }
        let mut seen = Vec::new();
        while let Some(number) = set.first() {
            seen.push(number);
            set.remove(number);
        }
        assert_eq!(seen, [0, 3, 64, 65, 700]);
        set.insert(5);
        assert_eq!(set.first(), Some(5));
        set.remove(9_999);
        assert_eq!(set.first(), Some(5));
    }
}
