//! An [`Exploration`] for people ([`Display`](fmt::Display)) and for programs
//! ([`Exploration::to_json`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::Exploration;

impl Exploration {
    /// The exploration as one line of JSON: `{"executions": …, "outcomes": [{"registers": {…},
    /// "final": {…}}, …]}`.
    ///
    /// Outcomes are distinct and sorted, registers that were never assigned are left out. Values
    /// are JSON integers of up to 64 bits: a reader that keeps numbers as doubles loses the low
    /// bits of those above 2^53.
    ///
    /// ```
    /// use verify::litmus::{Exploration, Outcome};
    ///
    /// let outcome = Outcome {
    ///     registers: [("r1".into(), 7)].into(),
    ///     final_values: [("x".into(), 1)].into(),
    /// };
    /// let exploration = Exploration { executions: 3, blocked: 0, outcomes: [outcome].into() };
    /// assert_eq!(
    ///     exploration.to_json(),
    ///     r#"{"executions": 3, "outcomes": [{"registers": {"r1": 7}, "final": {"x": 1}}]}"#
    /// );
    /// ```
    pub fn to_json(&self) -> String {
        let mut json = format!("{{\"executions\": {}, \"outcomes\": [", self.executions);
        for (index, outcome) in self.outcomes.iter().enumerate() {
            if index > 0 {
                json.push_str(", ");
            }
            json.push_str("{\"registers\": ");
            push_object(&mut json, &outcome.registers);
            json.push_str(", \"final\": ");
            push_object(&mut json, &outcome.final_values);
            json.push('}');
        }
        json.push_str("]}");
        json
    }
}

fn push_object(json: &mut String, values: &BTreeMap<String, u64>) {
    json.push('{');
    for (index, (name, value)) in values.iter().enumerate() {
        if index > 0 {
            json.push_str(", ");
        }
        // Parsed names need no escape; a tree built by hand may hold any.
        json.push('"');
        for character in name.chars() {
            match character {
                '"' | '\\' => json.extend(['\\', character]),
                control if control < ' ' => {
                    let _ = write!(json, "\\u{:04x}", u32::from(control));
                }
                plain => json.push(plain),
            }
        }
        let _ = write!(json, "\": {value}");
    }
    json.push('}');
}

/// Formats a number with a noun that agrees.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for Exploration {
    /// How many complete executions and outcomes, how many executions were blocked if any, and a
    /// table of the outcomes: registers left, final values right. `-` is a register that was not
    /// assigned.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (executions, outcomes) =
            (count(self.executions, "execution"), count(self.outcomes.len() as u64, "outcome"));
        write!(f, "{executions}, {outcomes}")?;
        if self.blocked > 0 {
            write!(f, ", {} by `assume`", count(self.blocked, "blocked execution"))?;
        }
        writeln!(f)?;
        let registers: BTreeSet<&str> =
            self.outcomes.iter().flat_map(|o| o.registers.keys()).map(String::as_str).collect();
        let locations: BTreeSet<&str> =
            self.outcomes.iter().flat_map(|o| o.final_values.keys()).map(String::as_str).collect();
        if registers.is_empty() && locations.is_empty() {
            return Ok(());
        }
        // Text first, then widths, so that every column is as wide as its widest cell.
        let mut rows = vec![(
            cells(&registers, |name| name.to_owned()),
            cells(&locations, |name| name.to_owned()),
        )];
        for outcome in &self.outcomes {
            let shown = |values: &BTreeMap<String, u64>, name: &str| {
                values.get(name).map_or("-".to_owned(), u64::to_string)
            };
            rows.push((
                cells(&registers, |name| shown(&outcome.registers, name)),
                cells(&locations, |name| shown(&outcome.final_values, name)),
            ));
        }
        let left = widths(rows.iter().map(|row| &row.0), registers.len());
        let right = widths(rows.iter().map(|row| &row.1), locations.len());
        for (registers, locations) in &rows {
            writeln!(f)?;
            write_cells(f, registers, &left)?;
            if !registers.is_empty() && !locations.is_empty() {
                f.write_str("  |")?;
            }
            write_cells(f, locations, &right)?;
        }
        writeln!(f)
    }
}

fn cells(names: &BTreeSet<&str>, text: impl Fn(&str) -> String) -> Vec<String> {
    names.iter().map(|name| text(name)).collect()
}

fn widths<'a>(rows: impl Iterator<Item = &'a Vec<String>>, columns: usize) -> Vec<usize> {
    let mut widths = vec![0; columns];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn write_cells(f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
    for (cell, width) in cells.iter().zip(widths) {
        write!(f, "  {cell:>width$}")?;
    }
    Ok(())
}
