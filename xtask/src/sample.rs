//! A part of what there is to do, so that many runs do all of it.

use std::str::FromStr;

/// The things whose hash is `k` modulo `n`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub k: u64,
    pub n: u64,
}

impl Sample {
    /// Returns whether `text` is in the sample: by its FNV-1a hash, the same on every machine.
    pub(crate) fn has(self, text: &str) -> bool {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash % self.n == self.k
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Sample, String> {
        let parse = || {
            let (k, n) = text.split_once('/')?;
            Some(Sample { k: k.parse().ok()?, n: n.parse().ok()? })
        };
        parse()
            .filter(|sample| sample.k < sample.n)
            .ok_or_else(|| String::from("a sample is K/N, for example 0/7, with K less than N"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_in_one_sample_of_n() {
        let texts = ["mutex::two_lock", "mutex::three_lock", "queue::two_putters", ""];
        for text in texts {
            let of = (0..7).filter(|&k| Sample { k, n: 7 }.has(text)).count();
            assert_eq!(of, 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for text in ["7/7", "1", "1/", "/3", "-1/3", "0/0", "a/b"] {
            assert!(text.parse::<Sample>().is_err(), "{text}");
        }
    }
}
