//! `cargo dashboard` as its users run it, and the page in a real browser.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn dashboard(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dashboard"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is text")
}

/// Measures one small workload into `out`.
fn measure(out: &Path) {
    let output = dashboard(&["mutex/uncontended", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).trim_end().ends_with("index.html"), "{}", text(&output.stdout));
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("the file was written"))
        .expect("the file is JSON")
}

#[test]
fn a_run_writes_the_page_the_record_and_its_two_projections() {
    let folder = tempfile::tempdir().unwrap();
    measure(folder.path());
    let record = json(&folder.path().join("record.json"));
    let rows = record["rows"].as_array().unwrap();
    let keys: Vec<_> = rows[0].as_object().unwrap().keys().cloned().collect();
    let named = [
        "high",
        "id",
        "low",
        "median",
        "peer",
        "primitive",
        "samples",
        "threads",
        "unit",
        "workload",
    ];
    assert_eq!(keys, named);
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(number("low") <= number("median") && number("median") <= number("high"), "{row}");
    }
    let github = json(&folder.path().join("github-action.json"));
    assert_eq!(github.as_array().unwrap().len(), rows.len());
    let bencher = json(&folder.path().join("bmf.json"));
    assert_eq!(bencher.as_object().unwrap().len(), rows.len());
    assert_eq!(bencher["mutex/uncontended/ours/1"]["ns-op"]["value"], record["rows"][0]["median"]);
    let page = std::fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert!(page.contains("mutex") && page.contains("parking_lot"));
}

#[test]
fn a_record_is_drawn_again_without_measuring() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    measure(first.path());
    let record = first.path().join("record.json");
    let output =
        dashboard(&["--from", record.to_str().unwrap(), "--out", second.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in ["index.html", "record.json", "github-action.json", "bmf.json"] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(first.path()) == read(second.path()), "{name} differs");
    }
}

#[test]
fn bad_input_is_an_error_that_names_it() {
    let output = dashboard(&["mutx"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("\"mutx\""));
    let output = dashboard(&["--from", "no/such/record.json"]);
    assert_eq!(output.status.code(), Some(1));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.json");
    std::fs::write(&path, "{}").unwrap();
    let output = dashboard(&["--from", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("bad.json"), "{}", text(&output.stderr));
    assert_eq!(dashboard(&["--quick", "--full"]).status.code(), Some(2));
}

/// The browser's program, if there is one.
fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok())
}

#[test]
fn a_browser_shows_the_marks_without_errors_and_without_requests() {
    let Some(browser) = browser() else {
        println!("skipped: no Chromium on this machine");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    measure(folder.path());
    let page = format!("file://{}/index.html", folder.path().display());
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(&page)
        .output()
        .expect("the browser starts");
    let (dom, log) = (text(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("CONSOLE"), "the console is not empty:\n{log}");
    assert!(dom.matches("<circle").count() >= 1, "no mark in the overview:\n{dom}");
    assert!(dom.matches("<rect").count() >= 5, "fewer bars than contestants:\n{dom}");
    // Nothing on the page is loaded from anywhere: no script, picture, frame or style sheet.
    for tag in ["<script", "<img", "<iframe", "rel=\"stylesheet\"", "url("] {
        assert!(!dom.contains(tag), "{tag} in the page");
    }
}
