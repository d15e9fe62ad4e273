//! The charts of the page, as SVG. Colours and sizes of text are the style sheet's; every mark has
//! a title, and the numbers stand in the tables as well, so nothing depends on seeing a colour.

use maud::{Markup, html};

use super::cells::{Cell, verdict};
use super::record::Row;
use crate::compare::report::figure;
use crate::compare::stats::Verdict;
use crate::compare::subject::OURS;

/// The class of a verdict in the style sheet, its mark and its word.
pub(super) fn verdict_marks(verdict: Verdict) -> (&'static str, &'static str, &'static str) {
    match verdict {
        Verdict::Win => ("ahead", "▲", "ahead"),
        Verdict::Tie => ("level", "●", "level"),
        Verdict::Loss => ("behind", "▼", "behind"),
    }
}

/// The ratios to the best peer of all cells of a primitive, on a logarithmic axis from 1/16 to 16.
pub(super) fn strip(cells: &[&Cell<'_>]) -> Markup {
    const WIDTH: f64 = 480.0;
    const END: f64 = 4.0;
    let x = |ratio: f64| WIDTH / 2.0 + ratio.log2().clamp(-END, END) / END * (WIDTH / 2.0 - 8.0);
    html! {
        svg class="strip" viewBox=(format!("0 0 {WIDTH} 26")) role="img"
            aria-label="ratios to the best peer, one mark for each cell" {
            @for power in -3..=3 {
                @let at = x(2_f64.powi(power));
                @let class = if power == 0 { "one" } else { "grid" };
                line class=(class) x1=(at) x2=(at) y1="2" y2="24" {}
            }
            @for cell in cells {
                @let ratio = cell.ratio(cell.best());
                @let (class, _, word) = verdict_marks(cell.verdict());
                circle class=(class) cx=(tenths(x(ratio.median))) cy="13" r="5" {
                    title {
                        (cell.name()) ": " (word) ", " (figure(ratio.median)) " x "
                        (cell.best().peer)
                    }
                }
            }
        }
    }
}

/// The axis of [`strip`].
pub(super) fn strip_axis() -> Markup {
    html! {
        svg class="strip" viewBox="0 0 480 16" aria-hidden="true" {
            @for (power, label) in [(-3, "1/8"), (-2, "1/4"), (-1, "1/2"), (0, "1"), (1, "2 x"),
                (2, "4 x"), (3, "8 x")] {
                text x=(240 + power * 58) y="12" text-anchor="middle" { (label) }
            }
        }
    }
}

/// The medians of a cell as bars, best first, with their intervals.
pub(super) fn bars(cell: &Cell<'_>) -> Markup {
    let mut rows: Vec<&Row> = cell.peers.clone();
    let ours = rows.iter().position(|row| !is_better(cell, row)).unwrap_or(rows.len());
    rows.insert(ours, cell.ours);
    let most = rows.iter().map(|row| row.median).fold(f64::MIN_POSITIVE, f64::max);
    // A bar that is ten times the others would flatten them: the scale ends at eight times the
    // least, and a bar beyond is drawn broken.
    let least = rows.iter().map(|row| row.median).fold(f64::INFINITY, f64::min);
    let scale_end = if least > 0.0 { most.min(least * 8.0) } else { most };
    let height = 22 * rows.len();
    let x = |value: f64| 130.0 + 220.0 * (value / scale_end).clamp(0.0, 1.0);
    html! {
        svg class="bars" viewBox=(format!("0 0 520 {height}")) role="img"
            aria-label=(format!("{} in {}", cell.name(), cell.unit)) {
            @for (at, row) in rows.iter().enumerate() {
                @let y = 22 * at;
                @let class = if row.peer == OURS { "bar ours" } else { "bar" };
                text x="124" y=(y + 15) text-anchor="end" { (row.peer) }
                @let width = tenths(x(row.median) - 130.0);
                rect class=(class) x="130" y=(y + 4) width=(width) height="14" {
                    title { (row.id) ": " (figure(row.median)) " " (row.unit) }
                }
                line class="interval" x1=(tenths(x(row.low))) x2=(tenths(x(row.high)))
                    y1=(y + 11) y2=(y + 11) {}
                text x="358" y=(y + 15) {
                    (figure(row.median))
                    @if row.median > scale_end { " (cut)" }
                    tspan class="dim" { "  " (figure(row.low)) "–" (figure(row.high)) }
                }
            }
        }
    }
}

fn is_better(cell: &Cell<'_>, row: &Row) -> bool {
    // The peers are sorted with the best first; ours goes before the first that is not better.
    if crate::compare::report::higher_is_better(cell.unit) {
        row.median > cell.ours.median
    } else {
        row.median < cell.ours.median
    }
}

/// Throughput by the number of threads: one line for each peer, ours strong, the number of
/// processors marked. `cells` are those of one workload, in ns/op, sorted by threads.
pub(super) fn by_threads(cells: &[&Cell<'_>], cores: usize) -> Markup {
    const LEFT: f64 = 56.0;
    const RIGHT: f64 = 400.0;
    const BOTTOM: f64 = 190.0;
    let rows = |cell: &Cell<'_>| -> Vec<(String, f64)> {
        let all = cell.peers.iter().copied().chain([cell.ours]);
        all.map(|row| (row.peer.clone(), 1e3 / row.median)).collect()
    };
    let points: Vec<(usize, Vec<(String, f64)>)> =
        cells.iter().map(|cell| (cell.threads, rows(cell))).collect();
    let most = points
        .iter()
        .flat_map(|(_, rows)| rows.iter().map(|(_, value)| *value))
        .filter(|value| value.is_finite())
        .fold(f64::MIN_POSITIVE, f64::max);
    let first = (points.first().map_or(1, |point| point.0) as f64).log2();
    let last = (points.last().map_or(2, |point| point.0) as f64).log2();
    let span = (last - first).max(1.0);
    let x = |threads: f64| LEFT + (threads.log2() - first) / span * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - (value / most).clamp(0.0, 1.0) * (BOTTOM - 14.0);
    let mut peers: Vec<String> = Vec::new();
    for (_, rows) in &points {
        for (peer, _) in rows {
            if !peers.contains(peer) {
                peers.push(peer.clone());
            }
        }
    }
    let line = |peer: &str| -> Vec<(f64, f64, f64)> {
        let of = |(threads, rows): &(usize, Vec<(String, f64)>)| {
            let value = rows.iter().find(|(name, _)| name == peer)?.1;
            Some((x(*threads as f64), y(value), value))
        };
        points.iter().filter_map(of).collect()
    };
    // Names at the ends of the lines, moved apart where they would overlap.
    let mut labels: Vec<(String, f64)> =
        peers.iter().filter_map(|peer| Some((peer.clone(), line(peer).last()?.1))).collect();
    labels.sort_by(|a, b| a.1.total_cmp(&b.1));
    for at in 1..labels.len() {
        labels[at].1 = labels[at].1.max(labels[at - 1].1 + 13.0);
    }
    let mark = cores as f64;
    html! {
        svg class="lines" viewBox="0 0 520 222" role="img"
            aria-label="million operations a second by number of threads" {
            line class="axis" x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
            text x=(LEFT - 6.0) y="18" text-anchor="end" { (figure(most)) }
            text x=(LEFT - 6.0) y=(BOTTOM) text-anchor="end" { "0" }
            text class="dim" x="4" y=(BOTTOM + 28.0) { "million operations a second, by threads" }
            @if mark.log2() >= first && mark.log2() <= last {
                line class="cores" x1=(tenths(x(mark))) x2=(tenths(x(mark))) y1="8" y2=(BOTTOM) {}
                text class="dim" x=(tenths(x(mark) + 4.0)) y="16" { (cores) " processors" }
            }
            @for (threads, _) in &points {
                @let at = tenths(x(*threads as f64));
                text x=(at) y=(BOTTOM + 14.0) text-anchor="middle" { (threads) }
            }
            @for (index, peer) in peers.iter().enumerate() {
                @let line = line(peer);
                @let path: Vec<_> =
                    line.iter().map(|(x, y, _)| format!("{:.1},{:.1}", x, y)).collect();
                @let class = line_class(peer, index);
                polyline class=(class) points=(path.join(" ")) {}
                @for (x, y, value) in &line {
                    circle class=(class) cx=(tenths(*x)) cy=(tenths(*y)) r="3" {
                        title { (peer) ": " (figure(*value)) " million a second" }
                    }
                }
            }
            @for (peer, at) in &labels {
                @let index = peers.iter().position(|other| other == peer).unwrap_or(0);
                text class=(line_class(peer, index)) x=(RIGHT + 8.0) y=(tenths(at + 4.0)) { (peer) }
            }
        }
    }
}

fn line_class(peer: &str, index: usize) -> String {
    if peer == OURS { "line ours".to_owned() } else { format!("line p{}", index % 6) }
}

/// One number over the days, with 1 marked: for the geometric mean of the ratios to the best peer.
pub(super) fn history(points: &[(String, f64)]) -> Markup {
    const WIDTH: f64 = 240.0;
    let x = |at: usize| 8.0 + (WIDTH - 16.0) * at as f64 / (points.len().max(2) - 1) as f64;
    let y = |ratio: f64| 22.0 - ratio.log2().clamp(-1.5, 1.5) * -12.0;
    let path: Vec<_> = points
        .iter()
        .enumerate()
        .map(|(at, (_, ratio))| format!("{:.1},{:.1}", x(at), y(*ratio)))
        .collect();
    html! {
        svg class="history" viewBox=(format!("0 0 {WIDTH} 44")) role="img"
            aria-label="ratio to the best peer, by date" {
            line class="one" x1="0" x2=(WIDTH) y1=(y(1.0)) y2=(y(1.0)) {}
            polyline class="line ours" points=(path.join(" ")) {}
            @for (at, (date, ratio)) in points.iter().enumerate() {
                circle class="line ours" cx=(tenths(x(at))) cy=(tenths(y(*ratio))) r="3" {
                    title { (date) ": " (figure(*ratio)) }
                }
            }
        }
    }
}

/// The verdict on a peer as a table cell: mark, ratio, interval.
pub(super) fn ratio(cell: &Cell<'_>, peer: &Row) -> Markup {
    let ratio = cell.ratio(peer);
    let (class, mark, word) = verdict_marks(verdict(&ratio));
    html! {
        span class=(class) title=(word) { (mark) " " (figure(ratio.median)) }
        span class="dim" { " [" (figure(ratio.low)) ", " (figure(ratio.high)) "]" }
    }
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}
