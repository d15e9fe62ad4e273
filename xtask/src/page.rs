//! The report for a browser: for each primitive what was explored, within which bounds, and which
//! changes its models notice. One file that needs nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::harness::{Engine, root};
use crate::mutants::Mutants;
use crate::sources::Docs;
use crate::table::{Row, Table, Verdict};

const STYLE: &str = "
:root{color-scheme:light dark;--text:#1d2330;--dim:#5b6475;--page:#fff;--card:#f5f7fa;
--line:#d9dee7;--good:#1a7f43;--part:#8a5a00;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--text:#e6e9ef;--dim:#9aa4b5;--page:#14171d;--card:#1d222b;
--line:#333b48;--good:#5fd08c;--part:#e5b454;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem;max-width:70rem;font:16px/1.5 system-ui,sans-serif;
color:var(--text);background:var(--page);overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin:0}
p{margin:.4rem 0}.dim{color:var(--dim)}code{font:.88em ui-monospace,monospace}
.totals{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;
margin:1rem 0}
.totals div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;
padding:.6rem .8rem}
.totals b{display:block;font-size:1.3rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.9rem;
margin:.8rem 0}
summary{cursor:pointer;padding:.35rem 0}
.model{border-top:1px solid var(--line);padding:.5rem 0}
.good{color:var(--good)}.part{color:var(--part)}.bad{color:var(--bad)}
";

/// The models of one primitive, each with a row for each checker.
type Models<'a> = BTreeMap<&'a str, Vec<(Engine, &'a Row)>>;

/// Writes the page.
pub(crate) fn page(table: &Table, mutants: Option<&Mutants>) -> String {
    let docs = Docs::read();
    let mut primitives: BTreeMap<&str, Models<'_>> = BTreeMap::new();
    for ((model, engine), row) in &table.rows {
        let primitive = model.split("::").next().unwrap_or(model);
        primitives.entry(primitive).or_default().entry(model).or_default().push((*engine, row));
    }
    let engines: BTreeSet<Engine> = table.rows.keys().map(|(_, engine)| *engine).collect();
    let sum = |of: fn(&Row) -> u64| table.rows.values().map(of).sum::<u64>();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "What the models show" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "What the models show" }
                p.dim {
                    (chrono::Local::now().format("%Y-%m-%d"))
                    ", commit " code { (commit()) }
                    ", explored by "
                    (engines.iter().map(|e| e.name()).collect::<Vec<_>>().join(" and "))
                }
                div.totals {
                    (total("primitives", primitives.len() as u64))
                    (total("models", primitives.values().map(|models| models.len() as u64).sum()))
                    (total("explorations", sum(|row| row.settings)))
                    (total("executions", sum(|row| row.executions)))
                    @if let Some(mutants) = mutants {
                        (total("changes tried", mutants.fates.len() as u64))
                        (total(
                            "changes noticed",
                            (mutants.fates.len() - mutants.survivors().count()) as u64,
                        ))
                    }
                }
                p { (table.summary()) "." }
                p.dim {
                    "A model is a small program that uses one primitive. The checker runs it in "
                    "every way that the memory model of the language allows, within the bounds. "
                    "“Explored to the end” is a proof for this program within these bounds; “not "
                    "all explored” is a search that found no fault."
                }
                @if let Some(mutants) = mutants { (changes(mutants)) }
                @for (primitive, models) in &primitives {
                    (section(primitive, models, &docs, mutants))
                }
            }
        }
    }
    .into_string()
}

fn total(what: &str, count: u64) -> Markup {
    html! { div { b { (grouped(count)) } span.dim { (what) } } }
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits: Vec<char> = number.to_string().chars().collect();
    let groups: Vec<String> = digits.rchunks(3).rev().map(String::from_iter).collect();
    groups.join("\u{202f}")
}

fn section(primitive: &str, models: &Models<'_>, docs: &Docs, mutants: Option<&Mutants>) -> Markup {
    let rows = || models.values().flatten().map(|(_, row)| row);
    let whole = rows().filter(|row| row.verdict() == Verdict::Passed).count();
    let bad = rows()
        .filter(|row| matches!(row.verdict(), Verdict::Failed(_) | Verdict::Unfinished))
        .count();
    let part = rows().filter(|row| matches!(row.verdict(), Verdict::Limited(_))).count();
    let noticed = mutants.map(|mutants| {
        let by_us = |by: &String| by.split("::").next() == Some(primitive);
        mutants.fates.values().filter(|fate| fate.caught_by.as_ref().is_some_and(by_us)).count()
    });
    html! {
        section {
            h2 { code { (primitive) } }
            @if let Some(text) = docs.files.get(primitive) { p.dim { (text) } }
            p {
                (grouped(rows().map(|row| row.executions).sum())) " executions of "
                (models.len()) " models: "
                span.good { (whole) " explored to the end" }
                @if part > 0 { ", " span.part { (part) " not all explored" } }
                @if bad > 0 { ", " span.bad { (bad) " failed or not finished" } }
            }
            @if let Some(noticed) = noticed {
                p { (noticed) " changes of the code were noticed first by these models." }
            }
            details open[bad > 0] {
                summary { "Models" }
                @for (model, rows) in models { (model_entry(model, rows, docs)) }
            }
        }
    }
}

fn model_entry(model: &str, rows: &[(Engine, &Row)], docs: &Docs) -> Markup {
    html! {
        div.model {
            code { (model) }
            @if let Some(text) = docs.models.get(model) { p { (text) } }
            @for (engine, row) in rows {
                p {
                    (engine.name()) ": "
                    @match row.verdict() {
                        Verdict::Passed => span.good { "explored to the end" },
                        Verdict::Unexplored => span.dim { "passed, explores nothing" },
                        Verdict::Limited(limit) => span.part { "not all explored: " (limit) },
                        Verdict::Failed(message) => span.bad { "failed: " (message) },
                        Verdict::Unfinished => span.bad { "not finished" },
                    }
                    ", " (grouped(row.executions)) " executions, "
                    (grouped(row.blocked)) " given up"
                    @if let Some(events) = row.events { ", at most " (events) " events" }
                }
                details.dim {
                    summary { "bounds" }
                    @for bounds in &row.bounds { p { (bounds) } }
                }
            }
        }
    }
}

fn changes(mutants: &Mutants) -> Markup {
    let mut files: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (change, fate) in &mutants.fates {
        let (noticed, all) = files.entry(&change.place.file).or_default();
        *noticed += u64::from(fate.caught_by.is_some());
        *all += 1;
    }
    html! {
        section {
            h2 { "Changes of the code that the models notice" }
            p.dim {
                "Each ordering weakened a step, each fence and each wake left out, one woken in "
                "place of all, one change at a time."
            }
            p { (mutants.summary()) "." }
            details {
                summary { "By file" }
                @for (file, (noticed, all)) in files {
                    div.model { code { (file) } " " (noticed) " of " (all) " noticed" }
                }
            }
            details {
                summary { "Changes that no model notices" }
                @for (change, fate) in mutants.survivors() {
                    div.model {
                        code { (fate.at) } ": " (change.what)
                        p { code { (change.place.code) } }
                        @match mutants.known.get(change) {
                            Some(reason) => p.dim { (reason) },
                            None => p.bad { "no reason is known" },
                        }
                    }
                }
            }
        }
    }
}

/// The commit that is checked out, and whether the files differ from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root()).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return String::from("unknown");
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} and changes that are not committed"),
    }
}
