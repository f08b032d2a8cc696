//! Every loop takes fuel, in each of its rounds, before anything else.

use coheap_tools::fuel::{FUEL, fuel};
use walrus::ir::{self, Instr, Visitor, dfs_in_order};
use walrus::{ExportItem, Module};

const LOOPS: &str = r#"(module
    (func (export "f") (param i32) (result i32)
        (loop $outer
            (loop $inner (br_if $inner (local.get 0)))
            (br_if $outer (local.get 0)))
        (loop (result i32) (i32.const 7)))
    (func (export "straight") (result i32) (i32.const 3)))"#;

#[test]
fn every_loop_begins_with_taking_fuel() {
    struct Bodies(usize);
    impl Visitor<'_> for Bodies {
        fn start_instr_seq(&mut self, sequence: &ir::InstrSeq) {
            let first: Vec<&Instr> = sequence.instrs.iter().take(7).map(|(instruction, _)| instruction).collect();
            let takes = matches!(
                first[..],
                [Instr::GlobalGet(_), Instr::Unop(_), Instr::IfElse(_), Instr::GlobalGet(_), .., Instr::GlobalSet(_)]
            );
            self.0 += usize::from(takes);
        }
    }
    let fuelled = fuel(&wat::parse_str(LOOPS).expect("the test's module")).expect("loops that take fuel");
    assert_eq!(fuelled.loops, 3);
    let module = Module::from_buffer(&fuelled.wasm).expect("a valid module");
    let mut bodies = Bodies(0);
    for (_, function) in module.funcs.iter_local() {
        dfs_in_order(&mut bodies, function, function.entry_block());
    }
    assert_eq!(bodies.0, 3);
    assert!(module.exports.iter().any(|each| each.name == FUEL && matches!(each.item, ExportItem::Global(_))));
}

#[test]
fn module_that_takes_fuel_already_is_refused() {
    let once = fuel(&wat::parse_str(LOOPS).expect("the test's module")).expect("loops that take fuel");
    assert!(fuel(&once.wasm).is_err());
}
