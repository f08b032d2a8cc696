//! Every loop is found, by the function in which it stands, however deep; and a function that has none is not named.

use std::collections::BTreeMap;

use coheap_tools::loops::loops;
use wat::{GenerateDwarf, Parser};

/// With line tables; `more` stands behind what is there in any case: two loops in one function, and one without.
fn module(more: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (func $coheap::known (export "known") (param i32)
                (loop $outer
                    (block (loop $inner (br_if $inner (local.get 0))))
                    (br_if $outer (local.get 0))))
            (func $coheap::straight (export "straight") (param i32)
                (if (local.get 0) (then (call $coheap::known (local.get 0)))))
            {more})"#
    );
    let mut parser = Parser::new();
    parser.generate_dwarf(GenerateDwarf::Lines);
    parser.parse_str(None, text).expect("the test's module")
}

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(name, count)| ((*name).into(), *count)).collect()
}

#[test]
fn loops_are_counted_by_function() {
    assert_eq!(loops(&module("")).expect("loops"), counts(&[("coheap::known", 2)]));
}

#[test]
fn loop_that_is_new_is_seen() {
    let waits = "(func $coheap::waits (param i32) (block (loop $again (br_if $again (local.get 0)))))";
    assert_eq!(loops(&module(waits)).expect("loops"), counts(&[("coheap::known", 2), ("coheap::waits", 1)]));
}

#[test]
fn loop_without_line_tables_is_refused() {
    let bare = wat::parse_str("(module (func (param i32) (loop $again (br_if $again (local.get 0)))))");
    assert!(loops(&bare.expect("the test's module")).is_err());
}
