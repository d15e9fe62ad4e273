//! The checker checked: the language of litmus programs, and the engine against the naive enumerator.

mod classics;
mod counts;
mod naive;
mod parse;
mod relation;
