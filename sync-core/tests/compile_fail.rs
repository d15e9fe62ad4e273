//! The rules of types: programs that must not compile, each with the message of the compiler.
// The messages are those of the build that users run, without a feature that changes types.
#![cfg(not(any(feature = "deadlock", feature = "stats")))]

/// One test, because it builds a project of its own. `TRYBUILD=overwrite` writes the messages of
/// another compiler; look at the difference before committing it.
#[test]
fn what_would_be_unsound_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
