//! The `litmus` program from the outside: what it prints, where, and how it exits.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const STORE_BUFFERING: &str = "x = 0; y = 0;
thread { x.store(1, Release); r1 = y.load(Acquire); }
thread { y.store(1, Release); r2 = x.load(Acquire); }
";

fn litmus(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_litmus"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the litmus binary starts");
    // A program that does not read its input closes the pipe early, which is fine.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the litmus binary ends")
}

/// Standard output of a run that must succeed and say nothing else.
#[track_caller]
fn succeeds(arguments: &[&str], input: &str) -> String {
    let output = litmus(arguments, input);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("text")
}

/// Standard error of a run that must exit with 2 and print nothing else.
#[track_caller]
fn refuses(arguments: &[&str], input: &str) -> String {
    let output = litmus(arguments, input);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).expect("text")
}

fn program(name: &str) -> String {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "litmus", "programs", name].iter().collect();
    path.to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn json_as_documented() {
    let expected = concat!(
        r#"{"executions": 4, "outcomes": ["#,
        r#"{"registers": {"r1": 0, "r2": 0}, "final": {"x": 1, "y": 1}}, "#,
        r#"{"registers": {"r1": 0, "r2": 1}, "final": {"x": 1, "y": 1}}, "#,
        r#"{"registers": {"r1": 1, "r2": 0}, "final": {"x": 1, "y": 1}}, "#,
        r#"{"registers": {"r1": 1, "r2": 1}, "final": {"x": 1, "y": 1}}]}"#,
        "\n"
    );
    assert_eq!(succeeds(&[&program("sb-rel-acq.litmus"), "--json"], ""), expected);
    assert_eq!(succeeds(&["--json", &program("sb-rel-acq.litmus")], ""), expected);
    assert_eq!(succeeds(&["--json", "-"], STORE_BUFFERING), expected);
    assert_eq!(succeeds(&["--json", "--", "-"], STORE_BUFFERING), expected);
}

#[test]
fn a_table_for_people() {
    let expected = "\
4 executions, 4 outcomes

  r1  r2  |  x  y
   0   0  |  1  1
   0   1  |  1  1
   1   0  |  1  1
   1   1  |  1  1
";
    assert_eq!(succeeds(&[&program("sb-rel-acq.litmus")], ""), expected);
}

#[test]
fn registers_that_were_not_assigned_print_nothing() {
    let text = "x = 10; thread { r1 = x.load(Relaxed); if (r1 == 10) { r2 = x.swap(4, Relaxed); } \
        } thread { x.store(3, SeqCst); }";
    let json = succeeds(&["-", "--json"], text);
    assert!(json.contains(r#"{"registers": {"r1": 3}, "final": {"x": 3}}"#), "{json}");
    let table = succeeds(&["-"], text);
    assert!(table.contains("   3   -  |  3\n"), "{table}");
    assert!(table.contains("  10  10  |  3\n"), "{table}");
}

#[test]
fn blocked_executions_are_counted_apart() {
    let text =
        "x = 0; thread { x.store(1, Relaxed); } thread { r = x.load(Relaxed); assume(r == 1); }";
    assert_eq!(
        succeeds(&["-", "--json"], text),
        "{\"executions\": 1, \"outcomes\": [{\"registers\": {\"r\": 1}, \"final\": {\"x\": 1}}]}\n"
    );
    let table = succeeds(&["-"], text);
    assert!(
        table.starts_with("1 execution, 1 outcome, 1 blocked execution by `assume`\n"),
        "{table}"
    );

    let never = "x = 0; thread { r = x.load(Relaxed); assume(r == 1); }";
    assert_eq!(succeeds(&["-", "--json"], never), "{\"executions\": 0, \"outcomes\": []}\n");
    assert_eq!(
        succeeds(&["-"], never),
        "0 executions, 0 outcomes, 1 blocked execution by `assume`\n"
    );
}

#[test]
fn large_values_are_exact() {
    let json =
        succeeds(&["-", "--json"], "x = 18446744073709551615; thread { r = x.load(Relaxed); }");
    assert!(
        json.contains(r#"{"r": 18446744073709551615}, "final": {"x": 18446744073709551615}"#),
        "{json}"
    );
}

#[test]
fn a_program_without_locations() {
    let json = succeeds(&["-", "--json"], "thread { fence(SeqCst); }");
    assert_eq!(json, "{\"executions\": 1, \"outcomes\": [{\"registers\": {}, \"final\": {}}]}\n");
    assert_eq!(succeeds(&["-"], "thread { fence(SeqCst); }"), "1 execution, 1 outcome\n");
}

#[test]
fn a_parse_error_names_line_and_column_and_points_there() {
    let text = "x = 0;\n\tthread { r = x.load(Release); }\n";
    let expected = "\
litmus: standard input: line 2, column 22: a load cannot be `Release`: `Relaxed`, `Acquire` or \
 `SeqCst`
2 | \tthread { r = x.load(Release); }
  | \t                    ^
";
    assert_eq!(refuses(&["-"], text), expected);
    assert_eq!(refuses(&["--json", "-"], text), expected);
    assert!(refuses(&["-"], "").contains("line 1, column 1"));
    assert!(refuses(&["-"], "x = 0;").contains("line 1, column 7"));
}

#[test]
fn files_that_cannot_be_read() {
    let missing = program("no-such.litmus");
    assert!(refuses(&[&missing], "").contains(&missing));
    assert!(refuses(&["--json", &missing], "").contains("cannot read"));
    assert!(refuses(&[env!("CARGO_MANIFEST_DIR")], "").contains("cannot read"));
}

#[test]
fn no_text_at_all() {
    let path = std::env::temp_dir().join(format!("not-utf-8-{}.litmus", std::process::id()));
    std::fs::write(&path, b"x = 0;\n\xff\n").expect("a temporary file");
    let message = refuses(&[path.to_str().expect("UTF-8")], "");
    std::fs::remove_file(&path).expect("still there");
    assert!(message.contains("line 2") && message.contains("UTF-8"), "{message}");
}

#[test]
fn wrong_arguments() {
    assert!(refuses(&[], "").contains("no file given"));
    assert!(refuses(&["--json"], "").contains("Usage"));
    assert!(refuses(&["--yaml", "-"], "").contains("`--yaml`"));
    assert!(refuses(&["a.litmus", "b.litmus"], "").contains("`b.litmus`"));
    assert!(refuses(&["--", "--json"], "").contains("cannot read --json"));
}

#[test]
fn help_and_version() {
    for option in ["-h", "--help"] {
        let help = succeeds(&[option], "");
        for word in ["Usage: litmus", "--json", "compare_exchange", "assume", "//"] {
            assert!(help.contains(word), "no `{word}` in:\n{help}");
        }
    }
    for option in ["-V", "--version"] {
        assert_eq!(succeeds(&[option], ""), format!("litmus {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// The blocks of `LITMUS.md` in order: language and text.
fn blocks() -> Vec<(String, String)> {
    let page = [env!("CARGO_MANIFEST_DIR"), "LITMUS.md"].iter().collect::<PathBuf>();
    let page = std::fs::read_to_string(page).expect("the page");
    let mut blocks = Vec::new();
    let mut rest = page.as_str();
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (language, body) = fenced.split_once('\n').expect("a line");
        let (text, after) = body.split_once("```").expect("every block is closed");
        blocks.push((language.to_owned(), text.to_owned()));
        rest = after;
    }
    blocks
}

#[test]
fn every_program_of_the_page_prints_what_the_page_says() {
    let blocks = blocks();
    let programs = blocks.iter().filter(|(language, _)| language == "litmus").count();
    assert!(programs >= 6, "{programs} programs");
    for pair in blocks.windows(2).filter(|pair| pair[0].0 == "litmus") {
        assert_eq!(pair[1].0, "output", "no output after\n{}", pair[0].1);
        assert_eq!(succeeds(&["-"], &pair[0].1), pair[1].1, "of\n{}", pair[0].1);
    }
}
