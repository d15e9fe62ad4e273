//! Medians, and intervals for the ratio of two contestants from paired rounds.
//!
//! Round `r` of ours and round `r` of a peer ran within milliseconds of each other, so a noisy
//! neighbour, a frequency change or a full cache hit both alike: their quotient is steadier than
//! either. So the ratio is the **median of the quotients of pairs**, and its interval is the one
//! that inverts the **sign test**: of `n` pairs, each lies above the true median with probability
//! one half, whatever the distribution, so the interval from the `k`-th smallest to the `k`-th
//! largest quotient misses the true median with probability `2 P(Binomial(n, 1/2) < k)`. `k` is the
//! largest for which that is at most 5 %. Nothing is assumed to be normal or symmetric, an outlier
//! moves nothing, nothing is random, and swapping the two contestants gives exactly the
//! reciprocals: order statistics do not care about monotone transformations, so the logarithm of
//! the ratio has the same interval.
//!
//! Five pairs cannot carry 95 % (even their full range misses 1 time in 16), so six rounds are the
//! least.

/// The least number of rounds from which a 95 % interval can be made.
pub const LEAST_ROUNDS: usize = 6;

/// The chance that an interval may miss.
const MISS: f64 = 0.05;

/// A ratio and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median of the paired quotients.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Ratio {
    /// The ratio of something to itself.
    pub const ONE: Self = Self { median: 1.0, low: 1.0, high: 1.0 };

    /// How much `of` is of `to`, from rounds that belong together by their index.
    ///
    /// A quotient of two zeros is 1: neither waited. A quotient by zero alone is infinite, and may
    /// make an end of the interval so.
    ///
    /// # Panics
    ///
    /// If the slices' lengths differ or are below [`LEAST_ROUNDS`].
    pub fn paired(of: &[f64], to: &[f64]) -> Self {
        assert_eq!(of.len(), to.len(), "rounds come in pairs");
        assert!(of.len() >= LEAST_ROUNDS, "{} rounds cannot carry an interval", of.len());
        let mut quotients: Vec<f64> =
            of.iter().zip(to).map(|(&a, &b)| if a == b { 1.0 } else { a / b }).collect();
        quotients.sort_by(f64::total_cmp);
        let k = rank(quotients.len());
        Self {
            median: middle(&quotients),
            low: quotients[k - 1],
            high: quotients[quotients.len() - k],
        }
    }

    /// The other way round: exactly what swapping the contestants would give, but for the rounding.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { median: self.median.recip(), low: self.high.recip(), high: self.low.recip() }
    }

    /// The verdict of the interval on `of`, if less is better.
    pub fn verdict(&self) -> Verdict {
        if self.high < 1.0 {
            Verdict::Win
        } else if self.low > 1.0 {
            Verdict::Loss
        } else {
            Verdict::Tie
        }
    }
}

/// The median of a series and its 95 % interval, by the same order statistics as [`Ratio`]'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median of the rounds.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// The number of rounds.
    pub samples: usize,
}

impl Estimate {
    /// Estimates the median of the distribution that `values` come from.
    ///
    /// # Panics
    ///
    /// If there are fewer than [`LEAST_ROUNDS`] values.
    pub fn of(values: &[f64]) -> Self {
        let samples = values.len();
        assert!(samples >= LEAST_ROUNDS, "{samples} rounds cannot carry an interval");
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let k = rank(samples);
        Self { median: middle(&sorted), low: sorted[k - 1], high: sorted[samples - k], samples }
    }
}

/// The position of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is on the good side of 1.
    Win,
    /// 1 is inside.
    Tie,
    /// The whole interval is on the bad side of 1.
    Loss,
}

/// The median; of an even number, the geometric mean of the middle two: the only mean that inverts
/// with the ratio.
///
/// # Panics
///
/// If there are no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return sorted[half];
    }
    let (a, b) = (sorted[half - 1], sorted[half]);
    // Equal ones also for infinities, whose product with zero would be no number.
    if a == b { a } else { a.sqrt() * b.sqrt() }
}

/// The largest `k` with `2 P(Binomial(n, 1/2) < k) <= MISS`.
fn rank(n: usize) -> usize {
    // The probabilities of exactly 0, 1, ... of n; by logarithms, because 2^-n leaves the range of
    // f64 at about a thousand rounds.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut below = 0.0;
    for k in 0..=n {
        below += log_term.exp();
        if 2.0 * below > MISS {
            // `below` is now P(X <= k) = P(X < k + 1): too much for k + 1.
            return k.max(1);
        }
        log_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    unreachable!("all of a distribution is more than 5 % of it")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small deterministic generator (SplitMix64).
    fn numbers(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn ranks_are_those_of_the_published_tables() {
        // The critical values of the sign test, two-sided 5 %, plus one.
        for (n, k) in [
            (6, 1),
            (8, 1),
            (9, 2),
            (11, 2),
            (12, 3),
            (15, 4),
            (20, 6),
            (25, 8),
            (30, 10),
            (50, 18),
            (100, 40),
        ] {
            assert_eq!(rank(n), k, "{n} rounds");
        }
        assert!(rank(5_000) > 2_400, "large numbers neither overflow nor underflow");
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!((median(&[1.0, 4.0, 100.0, 0.5]) - 2.0).abs() < 1e-12);
        assert_eq!(median(&[0.0, f64::INFINITY, 0.0, 0.0]), 0.0);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn equal_series_have_the_ratio_one() {
        let series: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(Ratio::paired(&series, &series), Ratio::ONE);
        assert_eq!(Ratio::ONE.verdict(), Verdict::Tie);
        assert_eq!(Ratio::paired(&[0.0; 6], &[0.0; 6]), Ratio::ONE, "no thread waited");
        assert_eq!(Ratio::paired(&[1.0; 6], &[0.0; 6]).median, f64::INFINITY);
    }

    #[test]
    fn pairs_cancel_the_noise_that_hits_both() {
        let mut next = numbers(1);
        // The machine is up to a hundred times slower in some rounds; the peer takes twice our time
        // in all of them.
        let noise: Vec<f64> = (0..25).map(|_| 1.0 + 99.0 * next()).collect();
        let ours: Vec<f64> = noise.iter().map(|n| n * (1.0 + 0.01 * next())).collect();
        let peer: Vec<f64> = noise.iter().map(|n| n * 2.0 * (1.0 + 0.01 * next())).collect();
        let ratio = Ratio::paired(&ours, &peer);
        assert!(ratio.low > 0.49 && ratio.high < 0.51, "{ratio:?}");
        assert_eq!(ratio.verdict(), Verdict::Win);
        assert_eq!(Ratio::paired(&peer, &ours).verdict(), Verdict::Loss);
    }

    #[test]
    fn swapping_the_contestants_inverts_the_ratio() {
        let mut next = numbers(2);
        for n in [6, 7, 24, 25] {
            let (a, b): (Vec<f64>, Vec<f64>) = (0..n).map(|_| (0.1 + next(), 0.1 + next())).unzip();
            let (there, back) = (Ratio::paired(&a, &b), Ratio::paired(&b, &a).inverse());
            for (x, y) in
                [(there.median, back.median), (there.low, back.low), (there.high, back.high)]
            {
                assert!((x / y - 1.0).abs() < 1e-9, "{there:?} {back:?}");
            }
            assert!(there.low <= there.median && there.median <= there.high);
        }
    }

    #[test]
    fn a_few_outliers_move_nothing() {
        let mut of = vec![1.0; 25];
        let to = vec![1.0; 25];
        for outlier in &mut of[..7] {
            *outlier = 1e9;
        }
        assert_eq!(Ratio::paired(&of, &to), Ratio::ONE);
        of[7] = 1e9;
        assert_eq!(Ratio::paired(&of, &to).high, 1e9, "the eighth of 25 is the interval's end");
    }

    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        // Skewed noise (the cube of a uniform number) of both, true median ratio 1 because both
        // have the same distribution.
        let mut next = numbers(3);
        for n in [6, 9, 25] {
            let tries = 4_000;
            let hit = (0..tries)
                .filter(|_| {
                    let (a, b): (Vec<f64>, Vec<f64>) =
                        (0..n).map(|_| (1.0 + next().powi(3), 1.0 + next().powi(3))).unzip();
                    Ratio::paired(&a, &b).verdict() == Verdict::Tie
                })
                .count();
            let coverage = hit as f64 / f64::from(tries);
            assert!(coverage > 0.94, "{n} rounds cover {coverage}");
            assert!(coverage < 0.985, "{n} rounds cover {coverage}: wider than needed");
        }
    }

    #[test]
    fn an_estimate_is_the_median_between_two_order_statistics() {
        let values: Vec<f64> = (1..=9).rev().map(f64::from).collect();
        let estimate = Estimate::of(&values);
        assert_eq!(estimate, Estimate { median: 5.0, low: 2.0, high: 8.0, samples: 9 });
    }

    #[test]
    #[should_panic(expected = "cannot carry an interval")]
    fn five_rounds_are_too_few() {
        Ratio::paired(&[1.0; 5], &[1.0; 5]);
    }
}
