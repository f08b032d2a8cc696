//! Each objection of the call-graph check, raised by one module and not by its healthy neighbour.

use coheap_tools::call_graph::{Limits, Report, call_graph};

/// Frames of a caller (100 bytes), a callee (28), and what `more` adds.
fn report(more: &str, limits: &Limits) -> Report {
    let text = format!(
        r#"(module
            (import "env" "memory" (memory 1 16 shared))
            (import "env" "notify" (func $notify (param i32 i32) (result i32)))
            (global $sp (mut i32) (i32.const 65536))
            (export "__stack_pointer" (global $sp))
            (func $outer (export "outer") (local i32)
                (global.set $sp (local.tee 0 (i32.sub (global.get $sp) (i32.const 100))))
                (call $small) (call $inner)
                (drop (call $notify (i32.const 0) (i32.const 0)))
                (global.set $sp (i32.add (local.get 0) (i32.const 100))))
            (func $inner (local i32)
                (local.set 0 (i32.sub (global.get $sp) (i32.const 28)))
                (loop $again (loop (br_if $again (local.get 0)))))
            (func $small (export "small"))
            {more})"#
    );
    let wasm = wat::parse_str(text).expect("the test's module");
    call_graph(&wasm, limits).expect("a report")
}

fn limits(stack: i64, by_export: &[(&str, i64)]) -> Limits {
    let by_export = by_export.iter().map(|(name, limit)| ((*name).into(), *limit)).collect();
    Limits { stack, by_export }
}

fn none() -> Limits {
    limits(i64::MAX, &[])
}

#[test]
fn frames_add_up_along_the_deepest_path() {
    let report = report("", &none());
    assert_eq!(report.violations, [""; 0]);
    assert_eq!(report.exports["outer"].bytes, 128);
    assert_eq!(report.exports["outer"].functions, ["outer", "inner"]);
    assert_eq!(report.exports["small"].bytes, 0);
    let inner = report.functions.iter().find(|f| f.name == "inner").expect("inner");
    assert_eq!((inner.frame, inner.loops), (28, 2));
}

#[test]
fn the_padding_of_an_aligned_frame_counts() {
    let aligned = r#"(func (export "aligned") (local i32 i32)
        (global.set $sp (local.tee 1 (i32.and
            (i32.sub (local.tee 0 (global.get $sp)) (i32.const 100)) (i32.const -64))))
        (global.set $sp (local.get 0)))"#;
    assert_eq!(report(aligned, &none()).exports["aligned"].bytes, 163);
}

#[test]
fn a_path_deeper_than_the_stack_is_found() {
    assert_eq!(report("", &limits(128, &[])).violations, [""; 0]);
    assert_eq!(report("", &limits(127, &[])).violations, ["outer takes 128 bytes of stack and has 127: outer > inner"]);
}

#[test]
fn an_export_with_a_limit_of_its_own_is_held_to_it() {
    assert_eq!(report("", &limits(0, &[("outer", 128)])).violations, [""; 0]);
    assert_eq!(report("", &limits(1024, &[("small", 0)])).violations, [""; 0]);
    assert_eq!(
        report("", &limits(1024, &[("outer", 0)])).violations,
        ["outer takes 128 bytes of stack and has 0: outer > inner"]
    );
    assert_eq!(report("", &limits(1024, &[("renamed", 0)])).violations, ["renamed is not exported"]);
}

#[test]
fn recursion_is_found_and_its_cycle_named() {
    let direct = r#"(func $f (export "f") (call $f))"#;
    assert_eq!(report(direct, &none()).violations, ["recursion: f > f"]);
    let indirect = r#"
        (func $a (export "a") (call $b))
        (func $b (call $c))
        (func $c (if (i32.const 0) (then (call $b))))"#;
    assert_eq!(report(indirect, &none()).violations, ["recursion: b > c > b"]);
    let tail = r#"(func $t (export "t") (return_call $t))"#;
    assert_eq!(report(tail, &none()).violations, ["recursion: t > t"]);
}

#[test]
fn a_call_through_a_table_is_found_where_an_export_reaches_it() {
    let text = |export: &str| {
        format!(
            r#"(table 1 funcref) (elem (i32.const 0) $small)
            (func $f {export} (call $dynamic))
            (func $dynamic (call_indirect (i32.const 0)))"#
        )
    };
    assert_eq!(report(&text(""), &none()).violations, [""; 0]);
    assert_eq!(report(&text(r#"(export "f")"#), &none()).violations, ["dynamic calls through a table"]);
}

#[test]
fn a_wait_left_anywhere_is_found() {
    let wait = "(func $sleeps (drop (memory.atomic.wait64 (i32.const 0) (i64.const 0) (i64.const 0))))";
    assert_eq!(report(wait, &none()).violations, ["sleeps has a wait instruction"]);
}

#[test]
fn a_frame_without_a_bound_is_found() {
    let dynamic = r#"(func $dynamic (param i32)
        (global.set $sp (i32.sub (global.get $sp) (local.get 0))))"#;
    let violations = report(dynamic, &none()).violations;
    assert_eq!(violations, ["dynamic moves the stack pointer by an amount that is not constant"]);
}

#[test]
fn json_says_the_same() {
    let json = report("", &limits(127, &[])).json();
    assert!(json.contains(r#"{"name":"outer","bytes":128,"path":["outer","inner"]}"#), "{json}");
    assert!(json.contains(r#"{"name":"inner","frame":28,"loops":2}"#), "{json}");
    assert!(json.contains(r#""violations":["outer takes 128 bytes"#), "{json}");
}
