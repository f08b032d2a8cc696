//! What post-link rewrites, and what it refuses.

use coheap_tools::post_link::post_link;
use walrus::ir::{self, Visitor, dfs_in_order};
use walrus::{ExportItem, FunctionId, GlobalId, Module};

/// A module as the linker leaves it: a shared memory, a stack pointer, a start function that waits.
fn linked(more: &str) -> Vec<u8> {
    linked_with("", more)
}

fn linked_with(imports: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "env" "memory" (memory 1 16 shared))
            {imports}
            (global $sp (mut i32) (i32.const 65536))
            (export "__stack_pointer" (global $sp))
            (data $d "static")
            (func $initialise
                (if (i32.atomic.rmw.cmpxchg (i32.const 0) (i32.const 0) (i32.const 1))
                    (then (drop (memory.atomic.wait32 (i32.const 0) (i32.const 1) (i64.const -1))))
                    (else (memory.init $d (i32.const 8) (i32.const 0) (i32.const 6)))))
            (start $initialise)
            {more})"#
    );
    wat::parse_str(text).expect("the test's module")
}

fn shipped(wasm: &[u8]) -> Module {
    Module::from_buffer(&post_link(wasm).expect("accepted").shipped).expect("valid")
}

fn refusal(wasm: &[u8]) -> String {
    post_link(wasm).err().expect("refused")
}

fn global(module: &Module, name: &str) -> GlobalId {
    match module.exports.iter().find(|export| export.name == name).map(|export| &export.item) {
        Some(ExportItem::Global(global)) => *global,
        _ => panic!("no exported global {name}"),
    }
}

fn function(module: &Module, name: &str) -> FunctionId {
    module.exports.get_func(name).expect("an exported function")
}

/// The instructions of an exported function, in order, as text.
fn instructions(module: &Module, name: &str) -> Vec<String> {
    struct All(Vec<String>);
    impl Visitor<'_> for All {
        fn visit_instr(&mut self, instruction: &ir::Instr, _: &ir::InstrLocId) {
            let text = format!("{instruction:?}");
            self.0.push(text.split(['(', ' ']).next().unwrap_or_default().into());
        }
    }
    let mut all = All(Vec::new());
    let local = module.funcs.get(function(module, name)).kind.unwrap_local();
    dfs_in_order(&mut all, local, local.entry_block());
    all.0
}

fn reads_of(module: &Module, name: &str, global: GlobalId) -> usize {
    struct Reads(GlobalId, usize);
    impl Visitor<'_> for Reads {
        fn visit_global_get(&mut self, get: &ir::GlobalGet) {
            self.1 += usize::from(get.global == self.0);
        }
    }
    let mut reads = Reads(global, 0);
    let local = module.funcs.get(function(module, name)).kind.unwrap_local();
    dfs_in_order(&mut reads, local, local.entry_block());
    reads.1
}

#[test]
fn start_is_exported_and_no_longer_waits() {
    let before = Module::from_buffer(&linked("")).expect("valid");
    assert!(before.start.is_some());
    let after = shipped(&linked(""));
    assert!(after.start.is_none());
    let start = instructions(&after, "coheap_start");
    assert!(start.contains(&"Unreachable".into()), "{start:?}");
    assert!(start.contains(&"MemoryInit".into()), "{start:?}");
    assert!(!start.contains(&"AtomicWait".into()), "{start:?}");
}

#[test]
fn a_module_without_start_is_refused() {
    let wasm = wat::parse_str("(module)").expect("the test's module");
    assert!(refusal(&wasm).contains("no start function"));
}

#[test]
fn a_wait_outside_the_start_function_is_refused_by_name() {
    for wait in [
        "(memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))",
        "(memory.atomic.wait64 (i32.const 0) (i64.const 0) (i64.const -1))",
    ] {
        let wasm = linked(&format!(r#"(func $f (export "sleeps") (drop {wait}))"#));
        assert!(refusal(&wasm).starts_with("sleeps has a wait instruction"));
    }
}

#[test]
fn an_active_data_segment_is_refused() {
    let refused = refusal(&linked(r#"(data $bad (i32.const 64) "written by every instance")"#));
    assert!(refused.contains("data segment 1 (bad) is active"), "{refused}");
}

#[test]
fn the_agent_import_becomes_a_read_of_an_exported_global() {
    let imports = r#"(import "env" "agent" (func $agent (result i32)))"#;
    let who = r#"(func (export "who") (result i32)
        (block (result i32) (i32.mul (call $agent) (i32.const 100))))"#;
    let module = shipped(&linked_with(imports, who));
    assert!(module.imports.find("env", "agent").is_none());
    let agent = global(&module, "agent");
    assert!(module.globals.get(agent).mutable);
    assert_eq!(reads_of(&module, "who", agent), 1);
    assert!(!instructions(&module, "who").contains(&"Call".into()));
}

#[test]
fn an_agent_import_of_another_kind_is_refused() {
    let imports = r#"(import "env" "agent" (func $agent (param i32) (result i32)))"#;
    let use_it = r#"(func (export "who") (result i32) (call $agent (i32.const 0)))"#;
    assert!(refusal(&linked_with(imports, use_it)).contains("not a function () -> i32"));

    let imports = r#"(import "env" "agent" (func $agent (result i32)))"#;
    let reexport = r#"(export "who" (func $agent))"#;
    assert!(refusal(&linked_with(imports, reexport)).contains("used as a value"));
}

#[test]
fn the_details_of_an_error_become_globals_that_nobody_else_sees() {
    let imports = r#"(import "env" "error_second" (func $get (result i32)))
        (import "env" "set_error_second" (func $set (param i32)))"#;
    let keep_it = r#"(func (export "keep") (param i32) (result i32) (call $set (local.get 0)) (call $get))"#;
    let module = shipped(&linked_with(imports, keep_it));
    assert!(module.imports.iter().all(|import| !import.name.contains("error")));
    assert!(module.exports.iter().all(|export| !export.name.contains("error")));
    let code = instructions(&module, "keep");
    for (instruction, count) in [("GlobalSet", 1), ("GlobalGet", 1), ("Call", 0)] {
        assert_eq!(code.iter().filter(|&each| each == instruction).count(), count, "{instruction}");
    }

    let imports = r#"(import "env" "set_error_first" (func $set (result i32)))"#;
    let use_it = r#"(func (export "keep") (result i32) (call $set))"#;
    assert!(refusal(&linked_with(imports, use_it)).contains("not a function (i32) -> ()"));
    let imports = r#"(import "env" "set_error_first" (func $set (param i32)))"#;
    let reexport = r#"(export "keep" (func $set))"#;
    assert!(refusal(&linked_with(imports, reexport)).contains("used as a value"));
}

#[test]
fn known_imports_stay_and_others_are_refused_by_name() {
    let imports = r#"
        (import "env" "wait" (func $wait (param i32 i32 f64) (result i32)))
        (import "env" "notify" (func $notify (param i32 i32) (result i32)))"#;
    let use_them = r#"(func (export "f") (result i32)
        (i32.add (call $wait (i32.const 0) (i32.const 0) (f64.const 0))
                 (call $notify (i32.const 0) (i32.const 1))))"#;
    let mut names: Vec<String> =
        shipped(&linked_with(imports, use_them)).imports.iter().map(|i| i.name.clone()).collect();
    names.sort();
    assert_eq!(names, ["memory", "notify", "wait"]);

    for unknown in ["env::log", "wasi::wait"] {
        let (module, name) = unknown.split_once("::").expect("module::name");
        let imports = format!(r#"(import "{module}" "{name}" (func $f))"#);
        let refused = refusal(&linked_with(&imports, r#"(func (export "f") (call $f))"#));
        assert_eq!(refused, format!("unknown import {module}.{name}"));
    }
}

#[test]
fn a_frame_is_checked_once_and_its_end_is_not() {
    let module = shipped(&linked(
        r#"(func (export "framed") (local i32)
            (global.set $sp (local.tee 0 (i32.sub (global.get $sp) (i32.const 32))))
            (global.set $sp (i32.add (local.get 0) (i32.const 32))))
        (func (export "red_zone") (local i32)
            (local.set 0 (i32.sub (global.get $sp) (i32.const 16))))
        (func (export "aligned") (local i32 i32)
            (global.set $sp (local.tee 1 (i32.and
                (i32.sub (local.tee 0 (global.get $sp)) (i32.const 64)) (i32.const -64))))
            (global.set $sp (local.get 0)))
        (func (export "frameless"))"#,
    ));
    let limit = global(&module, "__stack_limit");
    assert!(module.globals.get(limit).mutable);
    for (name, checks) in [("framed", 1), ("red_zone", 1), ("aligned", 1), ("frameless", 0)] {
        assert_eq!(reads_of(&module, name, limit), checks, "{name}");
    }
    let framed = instructions(&module, "framed").join(" ");
    assert_eq!(
        framed,
        "GlobalGet Const Binop LocalTee GlobalGet Binop IfElse Unreachable LocalGet LocalTee GlobalSet \
         LocalGet Const Binop GlobalSet"
    );
}

#[test]
fn a_frame_without_a_bound_is_refused_by_name() {
    let cases = [
        (
            "not constant",
            r#"(func (export "f") (param i32)
                (global.set $sp (i32.sub (global.get $sp) (local.get 0))))"#,
        ),
        ("above where it was", r#"(func (export "f") (global.set $sp (i32.add (global.get $sp) (i32.const 16))))"#),
        (
            "below its frame",
            r#"(func (export "f") (local i32)
                (global.set $sp (local.tee 0 (i32.sub (global.get $sp) (i32.const 16))))
                (global.set $sp (i32.sub (local.get 0) (i32.const 16))))"#,
        ),
        (
            "more than once",
            r#"(func (export "f")
                (global.set $sp (i32.sub (global.get $sp) (i32.const 16)))
                (global.set $sp (i32.sub (global.get $sp) (i32.const 16))))"#,
        ),
    ];
    for (fault, text) in cases {
        let refused = refusal(&linked(text));
        assert!(refused.starts_with("f ") && refused.contains(fault), "{refused}");
    }
}

#[test]
fn only_the_named_module_has_names() {
    let linked = post_link(&linked(r#"(func $f (export "f"))"#)).expect("accepted");
    let has_names = |wasm: &[u8]| wasm.windows(4).any(|bytes| bytes == b"name");
    assert!(has_names(&linked.named));
    assert!(!has_names(&linked.shipped));
    assert!(linked.shipped.len() < linked.named.len());
}
