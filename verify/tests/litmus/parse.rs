//! The parser: what it accepts, and the line and column of what it refuses.

use std::sync::atomic::Ordering;
use verify::litmus::{Condition, LocationId, Program, RegisterId, Statement, Value};

fn parse(text: &str) -> Program {
    text.parse().unwrap_or_else(|error| panic!("{error}\nin\n{text}"))
}

/// Asserts that `text` is refused where its `@` stands, with a message that holds all of `words`.
#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let (before, after) =
        text.split_once('@').expect("the test marks the place of the error with `@`");
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let error = format!("{before}{after}").parse::<Program>().expect_err("the program is wrong");
    assert_eq!((error.line, error.column), (line, column), "{error}\nin\n{text}");
    assert!(error.to_string().starts_with(&format!("line {line}, column {column}: ")), "{error}");
    for word in words {
        assert!(error.message.contains(word), "no `{word}` in: {error}\nin\n{text}");
    }
}

const STORE_BUFFERING: &str = "\
x = 0; y = 0;
thread { x.store(1, Release); r1 = y.load(Acquire); }
thread { y.store(1, Release); r2 = x.load(Acquire); }
";

#[test]
fn the_example_of_the_documentation() {
    let program = parse(STORE_BUFFERING);
    assert_eq!(
        program.locations.iter().map(|l| (l.name.as_str(), l.initial)).collect::<Vec<_>>(),
        [("x", 0), ("y", 0)]
    );
    assert_eq!(
        program.registers.iter().map(|r| (r.name.as_str(), r.thread)).collect::<Vec<_>>(),
        [("r1", 0), ("r2", 1)]
    );
    assert_eq!(
        program.threads[1].body,
        [
            Statement::Store {
                location: LocationId(1),
                value: Value::Literal(1),
                ordering: Ordering::Release
            },
            Statement::Load {
                location: LocationId(0),
                ordering: Ordering::Acquire,
                into: Some(RegisterId(1))
            },
        ]
    );
    assert_eq!(program.to_string(), STORE_BUFFERING);
}

#[test]
fn every_operation() {
    let program = parse(
        "x=0xFF_ff;thread{x.store(18446744073709551615,SeqCst);x.load(Relaxed);a=x.swap(2,AcqRel);\
         b=x.fetch_add(a,Acquire);c=x.compare_exchange(0,b,SeqCst,Acquire);x.swap(0,Relaxed);\
         fence(AcqRel);\
         assume(a==1&&(b!=2||c==a)||a==0x10);if(c==0){x.fetch_add(1,Relaxed);}else{\
         x.compare_exchange(1,2,Relaxed,SeqCst);}}",
    );
    assert_eq!(program.locations[0].initial, 0xffff);
    let body = &program.threads[0].body;
    assert_eq!(body.len(), 9);
    assert_eq!(
        body[0],
        Statement::Store {
            location: LocationId(0),
            value: Value::Literal(u64::MAX),
            ordering: Ordering::SeqCst
        }
    );
    assert_eq!(
        body[3],
        Statement::FetchAdd {
            location: LocationId(0),
            value: Value::Register(RegisterId(0)),
            ordering: Ordering::Acquire,
            into: Some(RegisterId(1)),
        }
    );
    assert_eq!(
        body[4],
        Statement::CompareExchange {
            location: LocationId(0),
            expected: Value::Literal(0),
            new: Value::Register(RegisterId(1)),
            success: Ordering::SeqCst,
            failure: Ordering::Acquire,
            into: Some(RegisterId(2)),
        }
    );
    let register = |id| Value::Register(RegisterId(id));
    assert_eq!(
        body[7],
        Statement::Assume(Condition::Any(vec![
            Condition::All(vec![
                Condition::Equal(register(0), Value::Literal(1)),
                Condition::Any(vec![
                    Condition::NotEqual(register(1), Value::Literal(2)),
                    Condition::Equal(register(2), register(0)),
                ]),
            ]),
            Condition::Equal(register(0), Value::Literal(16)),
        ]))
    );
    let Statement::If { then, otherwise, .. } = &body[8] else { panic!("{:?}", body[8]) };
    assert_eq!((then.len(), otherwise.len()), (1, 1));
}

#[test]
fn what_is_printed_parses_back() {
    let text = "
        x = 1; lock = 2;
        thread {
            r1 = x.load(Relaxed);
            if (r1 == 0) { if (r1 != 1) { r2 = lock.swap(r1, SeqCst); } else { r2 = \
            x.load(Acquire); } assume(r2 == 0 || r1 == 0 && r2 != r1); }
            x.compare_exchange(r1, 4, AcqRel, Relaxed);
        }
        thread { fence(SeqCst); }
    ";
    let program = parse(text);
    assert_eq!(parse(&program.to_string()), program, "{program}");
}

#[test]
fn comments_and_layout_are_free() {
    let program = parse(
        "\u{feff}# a comment with ünïcode, } and \"\n// and = another\r\nx\n=\t0 // here\n;# \
         there\n\
         thread#\n{x . store ( 1 , // why\n Relaxed ) ; }// the end",
    );
    assert_eq!(program.to_string(), "x = 0;\nthread { x.store(1, Relaxed); }\n");
}

#[test]
fn a_register_may_be_assigned_twice_and_used_at_once() {
    let program = parse("x = 0; thread { r = x.load(Relaxed); r = x.swap(r, Relaxed); }");
    assert_eq!(program.registers.len(), 1);
    refused("x = 0; thread { r = x.swap(@r, Relaxed); }", &["`r` is not assigned"]);
}

#[test]
fn nothing_at_all() {
    refused("@", &["no thread"]);
    refused(" \n  \n@", &["no thread"]);
    refused("# only a comment@", &["no thread"]);
    refused("x = 0;@", &["no thread"]);
    refused("x = 0; @thread { }", &["does nothing"]);
    refused("x = 0; thread { x.store(1, SeqCst); } @thread { // nothing\n }", &["does nothing"]);
}

#[test]
fn orderings_that_std_refuses() {
    refused("x = 0;\nthread { r = x.load(@Release); }", &["load", "Release", "Acquire"]);
    refused("x = 0;\nthread { r = x.load(@AcqRel); }", &["load", "AcqRel"]);
    refused("x = 0;\nthread { x.store(1, @Acquire); }", &["store", "Acquire", "Release"]);
    refused("x = 0;\nthread { x.store(1, @AcqRel); }", &["store", "AcqRel"]);
    refused(
        "x = 0;\nthread { x.compare_exchange(0, 1, AcqRel, @Release); }",
        &["failure", "Release"],
    );
    refused(
        "x = 0;\nthread { x.compare_exchange(0, 1, Relaxed, @AcqRel); }",
        &["failure", "AcqRel"],
    );
    refused("thread { fence(@Relaxed); }", &["fence", "Relaxed"]);
    refused("x = 0; thread { x.load(@Consume); }", &["unknown ordering `Consume`", "SeqCst"]);
    refused("x = 0; thread { x.load(@relaxed); }", &["unknown ordering `relaxed`"]);
    refused("x = 0; thread { x.load(@); }", &["expected `Relaxed`", "found `)`"]);
    refused("x = 0; thread { x.load(Ordering@::Relaxed); }", &["unexpected character ':'"]);
}

#[test]
fn names() {
    refused(
        "x = 0; y = 1;\n@x = 0;\nthread { x.load(Relaxed); }",
        &["`x` is declared already", "line 1, column 1"],
    );
    refused("thread { @x.load(Relaxed); }", &["location `x` is not declared"]);
    refused("thread { r1 = @x.load(Relaxed); }", &["location `x` is not declared"]);
    refused("x = 0; thread { x.load(Relaxed); }\n@y = 0;", &["after a thread"]);
    refused("x = 0; thread { r = x.load(Relaxed); @r.store(1, Relaxed); }", &["`r` is a register"]);
    refused("x = 0; y = 0; thread { @y = x.load(Relaxed); }", &["`y` is a location"]);
    refused("x = 0; y = 0; thread { x.store(@y, Relaxed); }", &["`y` is a location"]);
    refused("x = 0; thread { x.store(@r, Relaxed); }", &["`r` is not assigned"]);
    refused("x = 0; thread { assume(1 == @r); }", &["`r` is not assigned"]);
    refused("@fence = 0;", &["reserved"]);
    refused("@if = 0;", &["reserved"]);
    refused("x = 0; thread { @else = x.load(Relaxed); }", &["reserved", "`else`"]);
    refused("x = 0; thread { @grün = x.load(Relaxed); }", &["`grün` is no name"]);
}

#[test]
fn a_register_belongs_to_one_thread() {
    let text = "x = 0;\nthread { r = x.load(Relaxed); }\nthread { @r = x.load(Relaxed); }";
    refused(text, &["`r` belongs to another thread", "line 2, column 10"]);
    refused(
        "x = 0; thread { r = x.load(Relaxed); } thread { x.store(@r, Relaxed); }",
        &["another thread"],
    );
}

#[test]
fn a_register_is_assigned_on_every_path_to_its_use() {
    parse(
        "x = 0; thread { a = x.load(Relaxed); if (a == 0) { b = x.load(Relaxed); } else { b = \
         x.load(Relaxed); } x.store(b, Relaxed); }",
    );
    let text = "x = 0; thread { a = x.load(Relaxed); if (a == 0) { b = x.load(Relaxed); } \
        x.store(@b, Relaxed); }";
    refused(text, &["`b` is not assigned on every path"]);
    let text = "x = 0; thread { a = x.load(Relaxed); if (a == 0) { b = x.load(Relaxed); } else { \
        x.store(@b, Relaxed); } }";
    refused(text, &["`b` is not assigned on every path"]);
}

#[test]
fn numbers() {
    assert_eq!(
        parse("x = 18446744073709551615; thread { x.load(Relaxed); }").locations[0].initial,
        u64::MAX
    );
    assert_eq!(
        parse("x = 0xffff_ffff_ffff_ffff; thread { x.load(Relaxed); }").locations[0].initial,
        u64::MAX
    );
    refused("x = @18446744073709551616;", &["64 bits"]);
    refused("x = @0x10000000000000000;", &["64 bits"]);
    refused("x = 0; thread { x.store(@99999999999999999999999999, Relaxed); }", &["64 bits"]);
    refused("x = @-1;", &["unsigned"]);
    refused("x = @1a;", &["`1a`"]);
    refused("x = @0x;", &["no digits"]);
    refused("x = 1@.5;", &["expected `;`, found `.`"]);
    refused("x = @y;", &["initial value of `x`", "`y`"]);
}

#[test]
fn punctuation() {
    refused("x = 0 @thread { x.load(Relaxed); }", &["expected `;`", "`thread`"]);
    refused("x @== 0;", &["expected `=`, found `==`"]);
    refused("x = 0; thread { x.store(1@); }", &["expected `,`, found `)`"]);
    refused("x = 0; thread { x.store(@Release); }", &["not assigned"]);
    refused("x = 0; thread { x.store(1, Relaxed@, Relaxed); }", &["expected `)`"]);
    refused("x = 0; thread { x.compare_exchange(0, 1, SeqCst@); }", &["expected `,`"]);
    refused("x = 0; thread { x.load(Relaxed) @}", &["expected `;`"]);
    refused("x = 0; thread { x.load(Relaxed);@", &["never closed", "line 1, column 15"]);
    refused("x = 0; thread { x.load(Relaxed); } @}", &["expected `thread`", "`}`"]);
    refused("x = 0; thread { x.@sub(1, Relaxed); }", &["unknown operation `sub`", "fetch_add"]);
    refused(
        "x = 0; thread { x.@compare_exchange_weak(0, 1, SeqCst, Relaxed); }",
        &["unknown operation"],
    );
    refused("x = 0; thread { @r = x.store(1, Relaxed); }", &["a store yields no value"]);
    refused("x = 0; thread { r = @fence(SeqCst); }", &["a fence yields no value"]);
    refused("x = 0; thread { r@; }", &["`=` or `.`"]);
    refused("x = 0; thread { @5; }", &["expected a statement", "`5`"]);
    refused("x = 0; thread { r = x.load(Relaxed); assume(r @= 1); }", &["`==` or `!=`"]);
    refused("x = 0; thread { r = x.load(Relaxed); assume(r == 1 @& r == 2); }", &["`&&`"]);
    refused(
        "x = 0; thread { r = x.load(Relaxed); if (r == 1) @r = x.load(Relaxed); }",
        &["expected `{`"],
    );
    refused("@x.store(1, Relaxed);", &["inside a `thread"]);
    // U+00A0 is white space, U+200B is not.
    refused("x = 0; thread { x.load(Relaxed)\u{a0}@\u{200b}; }", &["unexpected character"]);
}

#[test]
fn deep_nesting_is_refused_not_an_overflow() {
    let blocks =
        format!("x = 0; thread {{ r = x.load(Relaxed); {}", "if (r == 0) { ".repeat(100_000));
    assert!(blocks.parse::<Program>().unwrap_err().message.contains("deep"));
    let parentheses =
        format!("x = 0; thread {{ r = x.load(Relaxed); assume({}", "(".repeat(100_000));
    assert!(parentheses.parse::<Program>().unwrap_err().message.contains("deep"));
    let conjuncts = format!(
        "x = 0; thread {{ r = x.load(Relaxed); assume(r == 0{}); }}",
        " && r == 0".repeat(100_000)
    );
    assert!(conjuncts.parse::<Program>().is_ok());
}

#[test]
fn any_cut_and_any_swap_of_characters_is_no_panic() {
    let text = "x = 0; y = 0x1f; thread { a = x.load(SeqCst); if (a == 1 && (a != 0)) { y.swap(a, \
        AcqRel); } else { fence(SeqCst); } } # é";
    parse(text);
    for (cut, _) in text.char_indices() {
        let _ = text[..cut].parse::<Program>().map(|program| program.to_string());
        for other in
            ["{", "}", "(", ")", "=", ";", ",", ".", "0", "x", "é", "\0", "&", "\u{10ffff}"]
        {
            let rest = text[cut..].chars().next().map_or(0, char::len_utf8) + cut;
            let _ = format!("{}{other}{}", &text[..cut], &text[rest..]).parse::<Program>();
        }
    }
}
