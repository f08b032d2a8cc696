//! Where the points stand, and where none do.

use coheap_tools::crash_points::{ASKED, crash_points};
use walrus::ir::{self, Visitor, dfs_in_order};
use walrus::{FunctionId, FunctionKind, ImportKind, Module, ValType};

fn module(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "env" "memory" (memory 1 16 shared))
            (import "env" "now" (func $now (result f64)))
            (func $own)
            (func (export "f") {body}))"#
    );
    wat::parse_str(text).expect("the test's module")
}

/// The instructions of a function in order, as text; calls with the kind of what they call.
fn instructions(module: &Module, function: FunctionId) -> String {
    struct All<'module>(&'module Module, Vec<String>);
    impl Visitor<'_> for All<'_> {
        fn visit_instr(&mut self, instruction: &ir::Instr, _: &ir::InstrLocId) {
            let text = format!("{instruction:?}");
            let name = text.split(['(', ' ']).next().unwrap_or_default();
            self.1.push(match instruction {
                ir::Instr::Call(call) => called(self.0, call.func),
                _ => name.into(),
            });
        }
    }
    let mut all = All(module, Vec::new());
    let local = module.funcs.get(function).kind.unwrap_local();
    dfs_in_order(&mut all, local, local.entry_block());
    all.1.join(" ")
}

/// What a called function is, or does to shared memory.
fn called(module: &Module, function: FunctionId) -> String {
    if let FunctionKind::Import(import) = &module.funcs.get(function).kind {
        return if module.imports.get(import.import).name == ASKED { "ask" } else { "import" }.into();
    }
    let inside = instructions(module, function);
    let kinds = [("MemoryCopy", "copy"), ("MemoryFill", "fill"), ("MemoryGrow", "grow"), ("ask", "point")];
    kinds.iter().find(|(what, _)| inside.contains(what)).map_or("own", |(_, name)| name).into()
}

fn instrumented(body: &str) -> (Module, usize) {
    let instrumented = crash_points(&module(body)).expect("accepted");
    (Module::from_buffer(&instrumented.wasm).expect("valid"), instrumented.places)
}

/// The instructions of `f` after the step.
fn after(body: &str) -> String {
    let (module, _) = instrumented(body);
    instructions(&module, module.exports.get_func("f").expect("exported"))
}

#[test]
fn every_store_and_atomic_change_has_a_point_before_it() {
    let changes = [
        "(i32.store8 (i32.const 8) (i32.const 1))",
        "(i64.store (i32.const 8) (i64.const 1))",
        "(v128.store (i32.const 16) (v128.const i64x2 1 2))",
        "(i32.atomic.store (i32.const 8) (i32.const 1))",
        "(drop (i64.atomic.rmw.add (i32.const 8) (i64.const 1)))",
        "(drop (i32.atomic.rmw.xchg (i32.const 8) (i32.const 1)))",
        "(drop (i64.atomic.rmw.cmpxchg (i32.const 8) (i64.const 1) (i64.const 2)))",
        "(v128.store64_lane 0 (i32.const 8) (v128.const i64x2 1 2))",
    ];
    for change in changes {
        // A store's operands are put aside for the question.
        let found = after(change).replace("LocalSet LocalTee Const Binop point", "point");
        let (before, _) = found.split_once("point").unwrap_or_else(|| panic!("{change}: {found}"));
        assert_eq!(before.trim(), if change.contains("cmpxchg") { "Const Const Const" } else { "Const Const" });
        assert_eq!(instrumented(change).1, 1, "{change}");
    }
}

#[test]
fn loads_fences_and_calls_of_its_own_have_none() {
    for body in [
        "(drop (i32.load (i32.const 8)))",
        "(drop (i64.atomic.load (i32.const 8)))",
        "(atomic.fence)",
        "(call $own)",
        "(drop (memory.size))",
    ] {
        assert_eq!(instrumented(body).1, 0, "{body}");
    }
}

#[test]
fn points_stand_in_every_block() {
    let store = "(i32.store (i32.const 8) (i32.const 1))";
    let body = format!(
        "{store} (block {store} (loop {store})) (if (i32.const 1) (then {store}) (else {store} (block {store})))"
    );
    let found = after(&body);
    assert_eq!(found.matches("point LocalGet LocalGet Store").count(), 6, "{found}");
}

#[test]
fn imports_have_a_point_on_either_side() {
    assert_eq!(after("(drop (call $now))"), "point import point Drop");
}

#[test]
fn copies_and_fills_die_before_and_half_done_and_growth_before_and_after() {
    let bytes = "(i32.const 0) (i32.const 8) (i32.const 16)";
    let (with_all, places) =
        instrumented(&format!("(memory.copy {bytes}) (memory.fill {bytes}) (drop (memory.grow (i32.const 1)))"));
    let f = with_all.exports.get_func("f").expect("exported");
    assert_eq!(instructions(&with_all, f), "Const Const Const copy Const Const Const fill Const grow Drop");
    assert_eq!(places, 3);
    let inside = |what: &str| {
        let mut all = with_all.funcs.iter_local().map(|(id, _)| instructions(&with_all, id));
        all.find(|text| text.contains(what) && !text.contains("Const Const Const")).expect(what)
    };
    for what in ["MemoryCopy", "MemoryFill"] {
        let text = inside(what);
        // Half of it, and dead; else all.
        assert!(text.starts_with("point ") && text.contains(&format!("Binop {what} Unreachable")), "{text}");
        assert!(text.ends_with(what), "{text}");
    }
    assert_eq!(inside("MemoryGrow"), "point LocalGet MemoryGrow point");
}

#[test]
fn the_question_is_an_import_and_the_answer_a_trap() {
    let (module, _) = instrumented("(i32.store (i32.const 8) (i32.const 1))");
    let import = module.imports.find("env", ASKED).expect("imported");
    let ImportKind::Function(asked) = module.imports.get(import).kind else { panic!("no function") };
    let signature = module.types.get(module.funcs.get(asked).ty());
    assert_eq!((signature.params(), signature.results()), (&[ValType::I32; 2][..], &[ValType::I32][..]));
    let point = module
        .funcs
        .iter_local()
        .map(|(id, _)| instructions(&module, id))
        .find(|text| text.starts_with("Const Const ask"));
    assert_eq!(point.as_deref(), Some("Const Const ask IfElse Unreachable"));
}

#[test]
fn what_has_no_memory_or_has_points_already_is_refused() {
    let none = wat::parse_str("(module)").expect("the test's module");
    assert!(crash_points(&none).err().expect("refused").contains("no memory"));
    let once = crash_points(&module("(i32.store (i32.const 8) (i32.const 1))")).expect("accepted");
    assert!(crash_points(&once.wasm).err().expect("refused").contains("already"));
}
