//! What is told of, and that the code does what it did.

use coheap_tools::accesses::{TOLD, accesses};
use walrus::ir::{self, Visitor, dfs_in_order};
use walrus::{FunctionId, Module};

fn module(body: &str) -> Vec<u8> {
    let text =
        format!(r#"(module (import "env" "memory" (memory 1 16 shared)) (func $own) (func (export "f") {body}))"#);
    wat::parse_str(text).expect("the test's module")
}

/// The instructions of a function in order: constants by their value, others by their kind.
fn instructions(module: &Module, function: FunctionId) -> String {
    struct All(Vec<String>);
    impl Visitor<'_> for All {
        fn visit_instr(&mut self, instruction: &ir::Instr, _: &ir::InstrLocId) {
            let text = format!("{instruction:?}");
            let name = text.split(['(', ' ']).next().unwrap_or_default();
            self.0.push(match instruction {
                ir::Instr::Const(constant) => format!("{}", constant.value),
                _ => name.into(),
            });
        }
    }
    let mut all = All(Vec::new());
    let local = module.funcs.get(function).kind.unwrap_local();
    dfs_in_order(&mut all, local, local.entry_block());
    all.0.join(" ")
}

/// The instructions of `f` after the step.
fn after(body: &str) -> String {
    let telling = accesses(&module(body)).expect("accepted");
    let module = Module::from_buffer(&telling.wasm).expect("valid");
    assert!(module.imports.find("env", TOLD).is_some());
    instructions(&module, module.exports.get_func("f").expect("exported"))
}

#[test]
fn loads_and_atomic_changes_are_told_of_as_reads_with_their_size() {
    for (body, operands, bytes) in [
        ("(drop (i32.load8_u offset=24 (i32.const 8)))", 0, 1),
        ("(drop (i64.atomic.load offset=24 (i32.const 8)))", 0, 8),
        ("(drop (v128.load offset=24 (i32.const 8)))", 0, 16),
        ("(drop (i64.atomic.rmw.add offset=24 (i32.const 8) (i64.const 1)))", 1, 8),
        ("(drop (i64.atomic.rmw32.xchg_u offset=24 (i32.const 8) (i64.const 1)))", 1, 4),
        ("(drop (i32.atomic.rmw.cmpxchg offset=24 (i32.const 8) (i32.const 1) (i32.const 2)))", 2, 4),
    ] {
        let aside = "LocalSet ".repeat(operands + 1);
        let back = " LocalGet".repeat(operands + 1);
        let found = after(body);
        let told = format!("{aside}0 LocalGet 24 Binop {bytes} Call{back} ");
        assert!(found.contains(&told), "{body}: {found}");
    }
}

#[test]
fn stores_are_told_of_as_writes_with_their_size() {
    for (body, bytes) in [
        ("(i32.store8 offset=24 (i32.const 8) (i32.const 1))", 1),
        ("(i64.store offset=24 (i32.const 8) (i64.const 1))", 8),
        ("(f64.store offset=24 (i32.const 8) (f64.const 1))", 8),
        ("(i32.atomic.store offset=24 (i32.const 8) (i32.const 1))", 4),
    ] {
        let told = format!("LocalSet LocalSet 1 LocalGet 24 Binop {bytes} Call LocalGet LocalGet Store");
        let found = after(body);
        assert!(found.contains(&told), "{body}: {found}");
    }
}

#[test]
fn copies_and_fills_are_told_of_by_functions_of_their_own() {
    let bytes = "(i32.const 0) (i32.const 8) (i32.const 16)";
    let telling = accesses(&module(&format!("(memory.copy {bytes}) (memory.fill {bytes})"))).expect("accepted");
    let module = Module::from_buffer(&telling.wasm).expect("valid");
    assert_eq!(instructions(&module, module.exports.get_func("f").expect("exported")), "0 8 16 Call 0 8 16 Call");
    let all: Vec<String> = module.funcs.iter_local().map(|(id, _)| instructions(&module, id)).collect();
    let told = |what: &str| format!("{what} LocalGet LocalGet Call ");
    assert!(all.contains(&format!("{}{}LocalGet LocalGet LocalGet MemoryCopy", told("0"), told("1"))), "{all:?}");
    assert!(all.contains(&format!("{}LocalGet LocalGet LocalGet MemoryFill", told("1"))), "{all:?}");
}

#[test]
fn what_it_does_not_know_is_refused() {
    for body in [
        "(drop (v128.load8_splat (i32.const 8)))",
        "(drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const 0)))",
    ] {
        assert!(accesses(&module(body)).err().expect("refused").contains("not known"), "{body}");
    }
    let once = accesses(&module("(drop (i32.load (i32.const 8)))")).expect("accepted");
    assert!(accesses(&once.wasm).err().expect("refused").contains("already"));
}
