//! Programs that the types refuse, with what the compiler says.

#[test]
fn what_the_types_refuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
