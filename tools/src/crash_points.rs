//! A module that dies where it is told to: the shipped code with a question before every change of shared memory.
//!
//! At each point the code calls one more import, `env.crash_point`, which answers whether to die here; then it traps. Points are: before
//! each store, atomic change, `memory.init`, `memory.copy` and `memory.fill`; when half of a copy or fill is done; before and
//! after `memory.grow` and each call of an import. After a store is before the next one. Loads are none: they leave nothing.
//! The import is told 1 where half of something would be done first, and 0 elsewhere; and where a store goes, 0 elsewhere: most go to the
//! shadow stack, which nobody else reads.

use walrus::ir::{
    BinaryOp, Binop, Call, Const, Instr, LoadSimd, LoadSimdKind, LocalGet, LocalSet, LocalTee, MemoryCopy, MemoryFill,
    MemoryGrow, Store, Value,
};
use walrus::{FunctionBuilder, FunctionId, FunctionKind, InstrSeqBuilder, LocalId, MemoryId, Module, ValType};

use crate::Result;
use crate::instrument::{Instrumented, Operands, Replace, instrument};

/// The import, of module `env`, that is asked: `(half: i32, address: i32) -> i32`, 0: go on.
pub const ASKED: &str = "crash_point";

/// Puts the points into `wasm`.
///
/// # Errors
/// When it is no module, has no memory, or has a name of this step's already.
pub fn crash_points(wasm: &[u8]) -> Result<Instrumented> {
    instrument(wasm, ASKED, Points::new).map(|(instrumented, _)| instrumented)
}

/// What the code calls in place of, or around, what it did.
struct Points {
    imported: Vec<FunctionId>,
    point: FunctionId,
    store: FunctionId,
    copy: FunctionId,
    fill: FunctionId,
    grow: FunctionId,
}

impl Points {
    fn new(module: &mut Module, memory: MemoryId) -> Points {
        let imports = module.funcs.iter().filter(|function| matches!(function.kind, FunctionKind::Import(_)));
        let imported = imports.map(|function| function.id()).collect();
        let question = module.types.add(&[ValType::I32; 2], &[ValType::I32]);
        let (asked, _) = module.add_import_func("env", ASKED, question);
        let point = function(module, &[], &[], |body, _| {
            body.i32_const(0).i32_const(0);
            dying(body, asked, |_| {});
        });
        let store = function(module, &[ValType::I32], &[], |body, parameters| {
            body.i32_const(0).local_get(parameters[0]);
            dying(body, asked, |_| {});
        });
        let copy = function(module, &[ValType::I32; 3], &[], |body, parameters| {
            body.call(point);
            let instruction = MemoryCopy { src: memory, dst: memory };
            body.i32_const(1).i32_const(0);
            dying(body, asked, |body| half(body, parameters, instruction.clone()));
            whole(body, parameters, instruction);
        });
        let fill = function(module, &[ValType::I32; 3], &[], |body, parameters| {
            body.call(point);
            let instruction = MemoryFill { memory };
            body.i32_const(1).i32_const(0);
            dying(body, asked, |body| half(body, parameters, instruction.clone()));
            whole(body, parameters, instruction);
        });
        let grow = function(module, &[ValType::I32], &[ValType::I32], |body, parameters| {
            body.call(point);
            whole(body, parameters, MemoryGrow { memory });
            body.call(point);
        });
        Points { imported, point, store, copy, fill, grow }
    }
}

impl Replace for Points {
    fn replacement(&mut self, instruction: &Instr, operands: &Operands) -> Option<Vec<Instr>> {
        let call = |func| Instr::Call(Call { func });
        match instruction {
            Instr::Store(store) => Some(self.asking_where(store, operands)),
            Instr::AtomicRmw(_) | Instr::Cmpxchg(_) | Instr::MemoryInit(_) => {
                Some(vec![call(self.point), instruction.clone()])
            }
            Instr::LoadSimd(LoadSimd { kind, .. }) if stores(*kind) => {
                Some(vec![call(self.point), instruction.clone()])
            }
            Instr::MemoryCopy(_) => Some(vec![call(self.copy)]),
            Instr::MemoryFill(_) => Some(vec![call(self.fill)]),
            Instr::MemoryGrow(_) => Some(vec![call(self.grow)]),
            Instr::Call(Call { func }) if self.imported.contains(func) => {
                Some(vec![call(self.point), instruction.clone(), call(self.point)])
            }
            _ => None,
        }
    }
}

impl Points {
    /// A store, and before it the question, with its address.
    fn asking_where(&self, store: &Store, operands: &Operands) -> Vec<Instr> {
        let (address, value) = (operands.address, operands.stored(store.kind));
        let offset = Value::I32(store.arg.offset as u32 as i32);
        vec![
            LocalSet { local: value }.into(),
            LocalTee { local: address }.into(),
            Const { value: offset }.into(),
            Binop { op: BinaryOp::I32Add }.into(),
            Call { func: self.store }.into(),
            LocalGet { local: address }.into(),
            LocalGet { local: value }.into(),
            store.clone().into(),
        ]
    }
}

/// The stores of one lane are among walrus' loads.
fn stores(kind: LoadSimdKind) -> bool {
    use LoadSimdKind::{V128Store8Lane, V128Store16Lane, V128Store32Lane, V128Store64Lane};
    matches!(kind, V128Store8Lane(_) | V128Store16Lane(_) | V128Store32Lane(_) | V128Store64Lane(_))
}

fn function(
    module: &mut Module,
    parameters: &[ValType],
    results: &[ValType],
    build: impl FnOnce(&mut InstrSeqBuilder<'_>, &[LocalId]),
) -> FunctionId {
    let locals: Vec<LocalId> = parameters.iter().map(|parameter| module.locals.add(*parameter)).collect();
    let mut builder = FunctionBuilder::new(&mut module.types, parameters, results);
    build(&mut builder.func_body(), &locals);
    builder.finish(locals, &mut module.funcs)
}

/// Asks, with what stands on the operand stack; if the answer is to die, does `last` first.
fn dying(body: &mut InstrSeqBuilder<'_>, asked: FunctionId, last: impl FnOnce(&mut InstrSeqBuilder<'_>)) {
    body.call(asked).if_else(
        None,
        |body| {
            last(body);
            body.unreachable();
        },
        |_| {},
    );
}

fn whole(body: &mut InstrSeqBuilder<'_>, parameters: &[LocalId], instruction: impl Into<Instr>) {
    for parameter in parameters {
        body.local_get(*parameter);
    }
    body.instr(instruction);
}

/// As `whole`, with half of the last parameter, which is a number of bytes.
fn half(body: &mut InstrSeqBuilder<'_>, parameters: &[LocalId], instruction: impl Into<Instr>) {
    for parameter in parameters {
        body.local_get(*parameter);
    }
    body.i32_const(1).binop(BinaryOp::I32ShrU);
    body.instr(instruction);
}
