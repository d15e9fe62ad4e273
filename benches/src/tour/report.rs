//! The result of a tour, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::tally::Tally;

/// How many of the most frequent words are named.
pub const TOP: usize = 10;

/// The threads or processes of a tour.
#[derive(Clone, Copy, Debug)]
pub enum Workers {
    /// This many threads.
    Threads(usize),
    /// Processes.
    Processes {
        /// The number of processes at a time.
        count: usize,
        /// The number of processes that were killed on purpose, if any should be.
        kills: Option<u64>,
    },
}

impl Workers {
    fn text(self) -> String {
        let (count, one) = match self {
            Self::Threads(count) => (count, "thread"),
            Self::Processes { count, .. } => (count, "process"),
        };
        let kills = match self {
            Self::Processes { kills: Some(kills), .. } => format!(", {kills} of them killed"),
            _ => String::new(),
        };
        match (count, one) {
            (1, one) => format!("1 {one}{kills}"),
            (_, "process") => format!("{count} processes{kills}"),
            (_, one) => format!("{count} {one}s"),
        }
    }
}

/// The result of a tour.
#[derive(Debug)]
pub struct Report {
    /// The totals.
    pub tally: Tally,
    /// The threads or processes that counted.
    pub workers: Workers,
    /// The time they took.
    pub together: Duration,
    /// The time one thread took for the same; `None` if the tour was stopped before.
    pub single: Option<Duration>,
    /// Whether a later way through the tree gave other totals: the files are changing.
    pub changed: bool,
}

impl Report {
    /// `{"files", "bytes", "words", "unreadable", "top", "seconds": {"threads", "single"}}`;
    /// `single` is `null` if the tour was stopped. With processes, `processes` is in the place of
    /// `threads`, and `kills` is next to `seconds` if some were killed on purpose.
    pub fn json(&self) -> Value {
        let top: Vec<Value> = self
            .tally
            .top(TOP)
            .into_iter()
            .map(|(word, count)| json!({ "word": word, "count": count }))
            .collect();
        let (key, kills) = match self.workers {
            Workers::Threads(_) => ("threads", None),
            Workers::Processes { kills, .. } => ("processes", kills),
        };
        let mut value = json!({
            "files": self.tally.files,
            "bytes": self.tally.bytes,
            "words": self.tally.words,
            "unreadable": self.tally.unreadable,
            "top": top,
            "seconds": {
                key: self.together.as_secs_f64(),
                "single": self.single.map(|time| time.as_secs_f64()),
            },
        });
        if let Some(kills) = kills {
            value["kills"] = kills.into();
        }
        value
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let Tally { files, bytes, words, unreadable, .. } = self.tally;
        for (name, number) in
            [("files", files), ("bytes", bytes), ("words", words), ("unreadable", unreadable)]
        {
            let _ = writeln!(text, "{name:<12}{:>18}", grouped(number));
        }
        let top = self.tally.top(TOP);
        if !top.is_empty() {
            text.push_str("\nthe most frequent words\n");
        }
        for (word, count) in top {
            let _ = writeln!(text, "{:>30}  {}", grouped(count), shown(word));
        }
        let workers = self.workers.text();
        let time = self.together.as_secs_f64();
        match self.single {
            Some(single) => {
                let _ = writeln!(
                    text,
                    "\n{workers}: {time:.3} s; one thread alone: {:.3} s",
                    single.as_secs_f64()
                );
            }
            None => {
                let _ = writeln!(
                    text,
                    "\n{workers}: {time:.3} s; stopped before one thread alone had done the same"
                );
            }
        }
        text
    }
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word as a terminal may see it: nothing that moves the cursor, and no page of it.
fn shown(word: &str) -> String {
    const MOST: usize = 60;
    let mut text = String::new();
    for (at, character) in word.chars().enumerate() {
        if at == MOST {
            text.push('…');
            break;
        }
        if character.is_control() {
            text.extend(character.escape_default())
        } else {
            text.push(character)
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 7, 999, 1_000, 1_234_567].map(grouped),
            ["0", "7", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn words_cannot_drive_the_terminal() {
        assert_eq!(shown("\u{1b}[2Jx"), "\\u{1b}[2Jx");
        assert_eq!(shown(&"y".repeat(100)).chars().count(), 61);
    }
}
