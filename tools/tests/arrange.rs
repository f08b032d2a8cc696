//! What is arranged is the same module: every name leads to the same code, and only order differs.

use coheap_tools::arrange::arrange;
use walrus::ir::{self, Instr, Value, Visitor, dfs_in_order};
use walrus::{FunctionId, Module};

/// Functions of very different sizes, an imported one before them, whose calls name each other.
const PROGRAM: &str = r#"(module
    (import "env" "notify" (func $notify (param i32 i32) (result i32)))
    (func $one (export "one") (result i32) (i32.const 1))
    (func $two (export "two") (result i32) (i32.add (call $one) (i32.const 2)))
    (func $three (export "three") (param i32) (result i32) (local i64 i32 i64 i32)
        (local.set 4 (i32.add (local.get 0) (call $two)))
        (local.set 3 (i64.extend_i32_u (local.get 4)))
        (local.set 1 (i64.add (local.get 3) (local.get 3)))
        (local.set 2 (call $notify (local.get 4) (i32.const 3)))
        (i32.wrap_i64 (i64.add (local.get 3) (local.get 1))))
    (func $four (export "four") (param i32) (result i32) (local i64 i32 i64)
        (local.set 3 (i64.extend_i32_u (local.get 0)))
        (local.set 1 (i64.add (local.get 3) (local.get 3)))
        (i32.wrap_i64 (i64.add (local.get 3) (local.get 1)))))"#;

fn wasm() -> Vec<u8> {
    wat::parse_str(PROGRAM).expect("the test's module")
}

fn named(module: &Module, name: &str) -> FunctionId {
    module.exports.get_func(name).expect("an exported function")
}

/// The constants and the calls of a function in their order, and the locals that it uses: each by when it was first used.
fn told(module: &Module, name: &str) -> Vec<String> {
    struct All<'a>(&'a Module, Vec<walrus::LocalId>, Vec<String>);
    impl Visitor<'_> for All<'_> {
        fn visit_instr(&mut self, instruction: &Instr, _: &ir::InstrLocId) {
            let mut local = |id: walrus::LocalId| {
                let known = self.1.iter().position(|&each| each == id);
                let number = known.unwrap_or_else(|| {
                    self.1.push(id);
                    self.1.len() - 1
                });
                format!("local {number} {}", self.0.locals.get(id).ty())
            };
            self.2.push(match instruction {
                Instr::LocalGet(get) => local(get.local),
                Instr::LocalSet(set) => format!("set {}", local(set.local)),
                Instr::Const(ir::Const { value: Value::I32(value) }) => format!("{value}"),
                Instr::Call(call) => {
                    let exports = self.0.exports.get_exported_func(call.func);
                    format!("call {}", exports.map_or("notify", |export| &export.name))
                }
                other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().into(),
            });
        }
    }
    let mut all = All(module, Vec::new(), Vec::new());
    let local = module.funcs.get(named(module, name)).kind.unwrap_local();
    dfs_in_order(&mut all, local, local.entry_block());
    all.2
}

#[test]
fn every_name_leads_to_the_same_code() {
    let before = Module::from_buffer(&wasm()).expect("valid");
    let after = Module::from_buffer(&arrange(&wasm()).expect("arranged")).expect("valid");
    assert_eq!(after.imports.iter().count(), 1);
    for name in ["one", "two", "three", "four"] {
        assert_eq!(told(&after, name), told(&before, name), "{name}");
    }
}

#[test]
fn functions_stand_by_those_that_they_resemble() {
    let position = |wasm: &[u8], name| named(&Module::from_buffer(wasm).expect("valid"), name).index();
    let arranged = arrange(&wasm()).expect("arranged");
    assert_eq!(position(&wasm(), "two"), position(&wasm(), "three") - 1);
    // The largest first, then what shares most with it.
    assert_eq!(position(&arranged, "four"), position(&arranged, "three") + 1);
    assert!(position(&arranged, "three") < position(&arranged, "one"));
}

/// How often each local that is no parameter is read or written, in the order of their numbers, for each function that has some.
fn uses(wasm: &[u8], parameters: u32) -> Vec<Vec<(String, u32)>> {
    let bodies = wasmparser::Parser::new(0).parse_all(wasm).filter_map(|payload| match payload.expect("valid") {
        wasmparser::Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    let locals = bodies.map(|body| {
        let runs = body.get_locals_reader().expect("locals").into_iter().map(|run| run.expect("a run"));
        let mut uses: Vec<_> = runs.flat_map(|(count, kind)| vec![(kind.to_string(), 0); count as usize]).collect();
        for operator in body.get_operators_reader().expect("code") {
            use wasmparser::Operator::{LocalGet, LocalSet, LocalTee};
            if let LocalGet { local_index } | LocalSet { local_index } | LocalTee { local_index } =
                operator.expect("code")
                && let Some(own) = local_index.checked_sub(parameters)
            {
                uses[own as usize].1 += 1;
            }
        }
        uses
    });
    locals.filter(|locals| !locals.is_empty()).collect()
}

#[test]
fn of_the_locals_of_a_type_the_first_is_used_most() {
    let of = |kind: &str, counts: [u32; 2]| counts.map(|count| (kind.to_string(), count)).to_vec();
    let [i64s, i32s] = [of("i64", [4, 2]), of("i32", [3, 1])];
    assert_ne!(uses(&wasm(), 1)[0], [&i64s[..], &i32s].concat());
    let of_four = [i64s.clone(), vec![("i32".to_string(), 0)]].concat();
    assert_eq!(uses(&arrange(&wasm()).expect("arranged"), 1), [[i64s, i32s].concat(), of_four]);
}

#[test]
fn the_same_module_is_arranged_the_same_way() {
    assert_eq!(arrange(&wasm()), arrange(&wasm()));
    assert!(arrange(b"no module").is_err_and(|error| error.contains("cannot be arranged")));
}
