//! The page: one file without scripts, without requests, in light and dark, for screens of every
//! width, the keyboard and the printer.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cells::{Cell, cells, geometric_mean};
use super::chart;
use super::reasons::reason;
use super::record::Record;
use crate::compare::report::figure;
use crate::compare::stats::Verdict;
use crate::compare::subject::NS_PER_OP;

/// Draws a record. `history` are the dated records of the same machine, oldest first.
pub fn draw(record: &Record, history: &[Record]) -> String {
    let cells = cells(record);
    let primitives = primitives(&cells);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Synchronization primitives: ours beside the peers" }
                // An empty picture, so that a browser asks for none.
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                header {
                    h1 { "Synchronization primitives: ours beside the peers" }
                    p {
                        "Each mark is one workload. Its number is our cost divided by the cost of "
                        "the best peer in the same run: "
                        b { "below 1 we are ahead, above 1 behind." }
                        " Differences below 3 %, or within the intervals, count as level."
                    }
                    (tiles(&cells))
                }
                main {
                    (glance(&primitives))
                    (losses(&cells))
                    (details(&primitives, record.cores()))
                    (over_time(&primitives, history))
                    (run(record))
                }
            }
        }
    };
    page.into_string()
}

type Primitive<'c, 'r> = (&'r str, Vec<&'c Cell<'r>>);

fn primitives<'c, 'r>(cells: &'c [Cell<'r>]) -> Vec<Primitive<'c, 'r>> {
    let mut found: Vec<Primitive<'c, 'r>> = Vec::new();
    for cell in cells {
        match found.iter_mut().find(|(name, _)| *name == cell.primitive) {
            Some((_, cells)) => cells.push(cell),
            None => found.push((cell.primitive, vec![cell])),
        }
    }
    found
}

fn count<'a, 'r: 'a>(cells: impl IntoIterator<Item = &'a Cell<'r>>) -> [usize; 3] {
    let mut counts = [0; 3];
    for cell in cells {
        counts[cell.verdict() as usize] += 1;
    }
    counts
}

fn tiles(cells: &[Cell<'_>]) -> Markup {
    let counts = count(cells);
    html! {
        ul class="tiles" {
            @for verdict in [Verdict::Win, Verdict::Tie, Verdict::Loss] {
                @let (class, mark, word) = chart::verdict_marks(verdict);
                li {
                    b class=(class) { (mark) " " (counts[verdict as usize]) }
                    (word) " of " (cells.len()) " workloads"
                    @if word == "level" { " with" } @else { " against" }
                    " the best peer"
                }
            }
        }
    }
}

fn glance(primitives: &[Primitive<'_, '_>]) -> Markup {
    html! {
        section id="glance" {
            h2 { "At a glance" }
            div class="scroll" {
                table {
                    thead {
                        tr {
                            th scope="col" { "primitive" }
                            th scope="col" {
                                "each workload against the best peer "
                                (chart::strip_axis())
                            }
                            th scope="col" { "ahead, level, behind" }
                            th scope="col" { "mean to best peer" }
                            th scope="col" { "mean to std" }
                        }
                    }
                    tbody {
                        @for (name, cells) in primitives {
                            @let counts = count(cells.iter().copied());
                            tr {
                                th scope="row" { a href={ "#" (name) } { (name) } }
                                td { (chart::strip(cells)) }
                                td class="number" {
                                    span class="ahead" { "▲ " (counts[0]) } " "
                                    span class="level" { "● " (counts[1]) } " "
                                    span class="behind" { "▼ " (counts[2]) }
                                }
                                td class="number" { (mean(to_best(cells))) }
                                td class="number" {
                                    (mean(geometric_mean(cells.iter().filter_map(|cell| {
                                        Some(cell.ratio(cell.std()?).median)
                                    }))))
                                }
                            }
                        }
                    }
                }
            }
            p class="dim" { "Means are geometric. “–”: std has no such primitive." }
        }
    }
}

fn to_best(cells: &[&Cell<'_>]) -> Option<f64> {
    geometric_mean(cells.iter().map(|cell| cell.ratio(cell.best()).median))
}

fn mean(mean: Option<f64>) -> String {
    mean.map_or_else(|| "–".to_owned(), figure)
}

fn losses(cells: &[Cell<'_>]) -> Markup {
    let mut behind: Vec<_> = cells.iter().filter(|cell| cell.verdict() == Verdict::Loss).collect();
    let ratio = |cell: &Cell<'_>| cell.ratio(cell.best()).median;
    behind.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
    html! {
        section id="losses" {
            h2 { "Where we are behind, and why" }
            @if behind.is_empty() {
                p { "In no workload of this run." }
            } @else {
                div class="scroll" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "workload" } th scope="col" { "ours / best peer" }
                                th scope="col" { "best peer" } th scope="col" { "known cause" }
                            }
                        }
                        tbody {
                            @for cell in behind {
                                tr {
                                    th scope="row" {
                                        a href={ "#" (cell.primitive) } { (cell.name()) }
                                    }
                                    td class="number" {
                                        (chart::ratio(cell, cell.best()))
                                        @if cell.is_noisy() { span class="dim" { " noisy" } }
                                    }
                                    td { (cell.best().peer) }
                                    td { (reason(&cell.name()).unwrap_or("not known yet")) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn details(primitives: &[Primitive<'_, '_>], cores: usize) -> Markup {
    html! {
        section id="details" {
            h2 { "Every workload" }
            p class="dim" {
                "Bars are medians, shorter is better unless the unit is Jain's index. "
                "The line in a bar is the 95 % interval of the median. "
                "A row marked “cut” is longer than drawn. "
                "More threads than the " (cores) " processors is oversubscription, not scaling."
            }
            @for (name, cells) in primitives {
                details id=(name) open {
                    summary { h3 { (name) } }
                    div class="charts" {
                        @for family in families(cells) {
                            figure {
                                figcaption {
                                    (family[0].workload) span class="dim" { " by threads" }
                                }
                                (chart::by_threads(&family, cores))
                            }
                        }
                        @for cell in cells {
                            figure {
                                figcaption {
                                    (cell.workload)
                                    span class="dim" {
                                        @if cell.threads > 1 { ", " (cell.threads) " threads" }
                                        ", " (cell.unit) ": "
                                    }
                                    (chart::ratio(cell, cell.best()))
                                    @if cell.is_noisy() { span class="dim" { " noisy" } }
                                }
                                (chart::bars(cell))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The workloads that were run with several numbers of threads, each sorted by threads.
fn families<'c, 'r>(cells: &[&'c Cell<'r>]) -> Vec<Vec<&'c Cell<'r>>> {
    let mut found: Vec<Vec<&'c Cell<'r>>> = Vec::new();
    for &cell in cells.iter().filter(|cell| cell.unit == NS_PER_OP) {
        match found.iter_mut().find(|family| family[0].workload == cell.workload) {
            Some(family) => family.push(cell),
            None => found.push(vec![cell]),
        }
    }
    found.retain(|family| family.len() > 1);
    for family in &mut found {
        family.sort_by_key(|cell| cell.threads);
    }
    found
}

fn over_time(primitives: &[Primitive<'_, '_>], history: &[Record]) -> Markup {
    let days: Vec<_> = history.iter().map(|record| (record.date.clone(), cells(record))).collect();
    html! {
        section id="history" {
            h2 { "History on this machine" }
            @if days.len() < 2 {
                p {
                    "There are not yet two dated records of this machine. "
                    code { "cargo dashboard --keep" } " adds one."
                }
            } @else {
                p class="dim" {
                    "The geometric mean of the ratios to the best peer, from "
                    (days[0].0) " to " (days[days.len() - 1].0) "; below the line we are ahead."
                }
                div class="scroll" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "primitive" } th scope="col" { "" }
                                th scope="col" { "first" } th scope="col" { "latest" }
                            }
                        }
                        tbody {
                            @for (name, _) in primitives {
                                @let points: Vec<_> = days.iter().filter_map(|(date, cells)| {
                                    let cells: Vec<_> = cells
                                        .iter()
                                        .filter(|cell| cell.primitive == *name)
                                        .collect();
                                    Some((date.clone(), to_best(&cells)?))
                                }).collect();
                                @if let [first, .., last] = &points[..] {
                                    tr {
                                        th scope="row" { (name) }
                                        td { (chart::history(&points)) }
                                        td class="number" { (figure(first.1)) }
                                        td class="number" { (figure(last.1)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn run(record: &Record) -> Markup {
    html! {
        section id="run" {
            h2 { "This run" }
            dl {
                dt { "machine" } dd { (record.machine) }
                dt { "compiler" } dd { (record.rustc) }
                dt { "commit" } dd { (record.commit.as_deref().unwrap_or("no repository")) }
                dt { "date" } dd { (record.date) }
                dt { "peers" }
                dd {
                    @for (at, (name, version)) in record.peers.iter().enumerate() {
                        @if at > 0 { ", " }
                        (name) " " (version)
                    }
                }
            }
            p {
                "Ours and every peer run in one process, in short alternating rounds whose order "
                "rotates. Before anything is timed, each must show that it loses nothing and "
                "doubles nothing. A number is the median of the rounds with an interval from order "
                "statistics, which assumes nothing about the distribution. The best peer is chosen "
                "after the fact, which flatters it. "
                code { "record.json" } " beside this page has every number."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dashboard::record::Row;

    fn record(date: &str, ours: f64) -> Record {
        let row = |peer: &str, threads: usize, median: f64| Row {
            id: format!("mutex/contended/{peer}/{threads}"),
            primitive: "mutex".into(),
            workload: "contended".into(),
            peer: peer.into(),
            threads,
            unit: NS_PER_OP.into(),
            median,
            low: median * 0.99,
            high: median * 1.01,
            samples: 25,
        };
        Record {
            machine: "2 x <P> & Q, linux".into(),
            rustc: "rustc 1.95".into(),
            commit: Some("abc".into()),
            date: date.into(),
            peers: BTreeMap::from([("parking_lot".into(), "0.13.0".into())]),
            rows: vec![
                row("ours", 2, ours),
                row("std", 2, 20.0),
                row("parking_lot", 2, 10.0),
                row("ours", 4, 5.0),
                row("std", 4, 10.0),
            ],
        }
    }

    #[test]
    fn the_page_shows_wins_losses_and_the_run() {
        let page = draw(&record("2026-01-02", 15.0), &[]);
        for piece in [
            "▲ 1</b>",
            "▼ 1</b>",
            "mutex/contended/2",
            "1.500",
            "parking_lot 0.13.0",
            "2 x &lt;P&gt; &amp; Q, linux",
            "2 processors",
            "by threads",
            "Bounded overtaking",
        ] {
            let expected = piece != "Bounded overtaking";
            assert_eq!(page.contains(piece), expected, "{piece}");
        }
        assert!(!page.contains("<script"), "the page needs no script");
        assert!(!page.contains("http"), "the page names no address and so asks for nothing");
    }

    #[test]
    fn history_needs_two_days() {
        let (first, second) = (record("2026-01-01", 20.0), record("2026-01-02", 15.0));
        assert!(draw(&second, std::slice::from_ref(&first)).contains("not yet two dated records"));
        let page = draw(&second, &[first, second.clone()]);
        assert!(page.contains("from 2026-01-01 to 2026-01-02"));
    }

    #[test]
    fn an_empty_record_is_a_page_too() {
        let page = draw(&Record { rows: Vec::new(), ..record("2026-01-02", 1.0) }, &[]);
        assert!(page.contains("In no workload of this run."));
    }
}
