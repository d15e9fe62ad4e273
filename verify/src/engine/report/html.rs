//! An execution as a page for a browser: a column for each thread, an arrow from each write to
//! those who read it. The page needs nothing else.

use super::explain;
use super::failure::Failed;
use super::text::{describe, source};
use crate::engine::memory_model::event::{Id, NONE};
use crate::engine::memory_model::linearize::linear;
use std::fmt::Write;

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}\
pre{background:#f4f4f4;padding:1em;white-space:pre-wrap}svg text{font:12px ui-monospace,monospace}\
.box{fill:#eef3fb;stroke:#7a93c0}.stale .box{fill:#fde9e7;stroke:#c0392b}.at{fill:#777}\
.rf{stroke:#2d7d46;fill:none;marker-end:url(#head)}.stale-rf{stroke:#c0392b;stroke-dasharray:4}";

fn escape(s: &str) -> String {
    s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The page.
pub(crate) fn page(failed: &Failed, cures: &[String]) -> String {
    const WIDTH: usize = 330;
    const HEIGHT: usize = 44;
    let g = &failed.graph;
    let events = linear(g);
    let mut order = vec![0_u32; g.events.len()];
    for (i, &id) in events.iter().enumerate() {
        order[id as usize] = i as u32;
    }
    let x = |id: Id| 10 + g.ev(id).tid as usize * WIDTH;
    let y = |id: Id| 40 + order[id as usize] as usize * HEIGHT;
    let mut svg = String::new();
    for (t, name) in failed.names.iter().enumerate().take(g.threads.len()) {
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"20\" font-weight=\"bold\">{}</text>",
            10 + t * WIDTH,
            escape(name)
        );
    }
    for &id in &events {
        let e = g.ev(id);
        let from = source(g, &order, e);
        let stale = from.contains("stale");
        let site = e.label.site;
        let file = site.file().rsplit('/').next().unwrap_or_default();
        let _ = write!(
            svg,
            "<g{}><title>{}:{}{}</title><rect class=\"box\" x=\"{}\" y=\"{}\" width=\"{}\" \
             height=\"36\" rx=\"4\"/>\
             <text x=\"{}\" y=\"{}\">#{} {}</text><text class=\"at\" x=\"{}\" \
             y=\"{}\">{file}:{}</text></g>",
            if stale { " class=\"stale\"" } else { "" },
            escape(site.file()),
            site.line(),
            escape(&from),
            x(id),
            y(id),
            WIDTH - 50,
            x(id) + 6,
            y(id) + 15,
            order[id as usize],
            escape(&describe(g, e)),
            x(id) + 6,
            y(id) + 30,
            site.line(),
        );
        if e.rf < NONE && g.ev(e.rf).tid != e.tid {
            let (x1, y1) =
                (x(e.rf) + if g.ev(e.rf).tid < e.tid { WIDTH - 50 } else { 0 }, y(e.rf) + 18);
            let (x2, y2) =
                (x(id) + if g.ev(e.rf).tid < e.tid { 0 } else { WIDTH - 50 }, y(id) + 18);
            let class = if stale { "rf stale-rf" } else { "rf" };
            let mid = x1.midpoint(x2);
            let _ = write!(
                svg,
                "<path class=\"{class}\" d=\"M{x1},{y1} C{mid},{y1} {mid},{y2} {x2},{y2}\"/>"
            );
        }
    }
    let notes: String =
        explain::notes(failed, &order).iter().map(|n| format!("<p>{}</p>", escape(n))).collect();
    let cures: String = cures.iter().map(|c| format!("<li>{}</li>", escape(c))).collect();
    let cures = if cures.is_empty() {
        cures
    } else {
        format!("<p>Each of these alone would cure it:</p><ul>{cures}</ul>")
    };
    format!(
        "<!DOCTYPE html><html lang=\"en\"><meta \
         charset=\"utf-8\"><title>Counterexample</title><style>{STYLE}</style>\
         <h1>Counterexample</h1><pre>{}</pre>{notes}{cures}\
         <p>An arrow goes from a write to the one who reads it; red: there was a newer one.</p>\
         <svg width=\"{}\" height=\"{}\"><defs><marker id=\"head\" markerWidth=\"8\" \
         markerHeight=\"8\" refX=\"7\" refY=\"4\" \
         orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" \
         fill=\"#2d7d46\"/></marker></defs>{svg}</svg></html>",
        escape(&failed.kind.to_string()),
        20 + g.threads.len() * WIDTH,
        60 + events.len() * HEIGHT,
    )
}
