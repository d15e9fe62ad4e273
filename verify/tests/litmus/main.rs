//! The checker checked: the language of litmus programs, and the engine against the naive
//! enumerator.

mod classics;
mod counts;
mod data_structures;
mod generate;
mod interpret;
mod locks;
mod naive;
mod parse;
mod races;
mod random;
mod relation;
mod shrink;
mod symmetry;
mod waits;
