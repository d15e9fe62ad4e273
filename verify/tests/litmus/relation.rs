//! Binary relations over at most 64 events, as the papers write them: union, composition, inverse,
//! closure.

/// The most events that a graph may have.
pub(crate) const CAPACITY: usize = 64;

/// A set of events: bit `i` stands for event `i`.
pub(crate) type Set = u64;

/// A relation: row `i` is the set of events that `i` is related to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    rows: Vec<Set>,
}

impl Relation {
    pub(crate) fn empty(events: usize) -> Self {
        assert!(events <= CAPACITY, "{events} events: the naive enumerator takes {CAPACITY}");
        Relation { rows: vec![0; events] }
    }

    /// `[set]`: the identity on a set.
    pub(crate) fn identity(events: usize, set: Set) -> Self {
        let mut result = Self::empty(events);
        for event in 0..events {
            result.rows[event] = set & (1 << event);
        }
        result
    }

    pub(crate) fn insert(&mut self, from: usize, to: usize) {
        self.rows[from] |= 1 << to;
    }

    pub(crate) fn contains(&self, from: usize, to: usize) -> bool {
        self.rows[from] & (1 << to) != 0
    }

    /// Keeps the pairs that `wanted` holds for.
    pub(crate) fn filter(&self, wanted: impl Fn(usize, usize) -> bool) -> Self {
        let mut result = Self::empty(self.rows.len());
        for (from, &row) in self.rows.iter().enumerate() {
            for to in members(row).filter(|&to| wanted(from, to)) {
                result.insert(from, to);
            }
        }
        result
    }

    /// `self ∪ other`
    pub(crate) fn or(&self, other: &Self) -> Self {
        Relation { rows: self.rows.iter().zip(&other.rows).map(|(a, b)| a | b).collect() }
    }

    /// `self ∩ other`
    pub(crate) fn and(&self, other: &Self) -> Self {
        Relation { rows: self.rows.iter().zip(&other.rows).map(|(a, b)| a & b).collect() }
    }

    /// `self ; other`
    pub(crate) fn then(&self, other: &Self) -> Self {
        let through =
            |row: Set| members(row).fold(0, |reached, middle| reached | other.rows[middle]);
        Relation { rows: self.rows.iter().map(|&row| through(row)).collect() }
    }

    /// `self⁻¹`
    pub(crate) fn inverse(&self) -> Self {
        let mut result = Self::empty(self.rows.len());
        for (from, &row) in self.rows.iter().enumerate() {
            for to in members(row) {
                result.insert(to, from);
            }
        }
        result
    }

    /// `self?`: or the same event.
    pub(crate) fn maybe(&self) -> Self {
        self.or(&Self::identity(self.rows.len(), Set::MAX))
    }

    /// `self⁺`: one step or more.
    pub(crate) fn plus(&self) -> Self {
        let mut result = self.clone();
        for middle in 0..result.rows.len() {
            let beyond = result.rows[middle];
            for row in &mut result.rows {
                if *row & (1 << middle) != 0 {
                    *row |= beyond;
                }
            }
        }
        result
    }

    /// `self*`: no step or more.
    pub(crate) fn star(&self) -> Self {
        self.plus().maybe()
    }

    pub(crate) fn is_irreflexive(&self) -> bool {
        self.rows.iter().enumerate().all(|(event, row)| row & (1 << event) == 0)
    }

    pub(crate) fn is_acyclic(&self) -> bool {
        self.plus().is_irreflexive()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.iter().all(|&row| row == 0)
    }
}

fn members(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(next)
    })
}
