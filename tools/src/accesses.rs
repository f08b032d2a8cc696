//! A module that says what it reads and writes: the shipped code with a call before every access to shared memory.
//!
//! What an agent does follows from the bytes that it reads. So two heaps that differ in other bytes alone are one case for it, and a test
//! need not try both.

use walrus::ir::{BinaryOp, Binop, Call, Const, Instr, LocalGet, LocalSet, MemoryCopy, MemoryFill, Value};
use walrus::{FunctionBuilder, FunctionId, InstrSeqBuilder, LocalId, MemoryId, Module, ValType};

use crate::Result;
use crate::instrument::{Instrumented, Operands, Replace, instrument};

/// The import, of module `env`, that is told: `(what: i32, address: i32, bytes: i32)`.
pub const TOLD: &str = "access";

/// What of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load; also an atomic change, whether it writes or not.
    Read = 0,
    /// A store.
    Write = 1,
}

/// Makes `wasm` tell of every access. `memory.init` is not told of: it reads no memory, and who knows of fewer writes is only careful.
///
/// # Errors
/// When it is no module, has no memory, has a name of this step's already, or an instruction that is not known here: loads of SIMD that
/// are more than one vector, and waits.
pub fn accesses(wasm: &[u8]) -> Result<Instrumented> {
    let (instrumented, tells) = instrument(wasm, TOLD, Tells::new)?;
    match tells.unknown {
        Some(instruction) => Err(format!("an instruction that is not known here: {instruction}")),
        None => Ok(instrumented),
    }
}

struct Tells {
    told: FunctionId,
    copy: FunctionId,
    fill: FunctionId,
    /// The first instruction that is not known here.
    unknown: Option<String>,
}

impl Tells {
    fn new(module: &mut Module, memory: MemoryId) -> Tells {
        let question = module.types.add(&[ValType::I32; 3], &[]);
        let (told, _) = module.add_import_func("env", TOLD, question);
        let copy = ranges(module, |body, [to, from, length]| {
            tell(body, told, Access::Read, from, length);
            tell(body, told, Access::Write, to, length);
            body.local_get(to).local_get(from).local_get(length).instr(MemoryCopy { src: memory, dst: memory });
        });
        let fill = ranges(module, |body, [to, value, length]| {
            tell(body, told, Access::Write, to, length);
            body.local_get(to).local_get(value).local_get(length).instr(MemoryFill { memory });
        });
        Tells { told, copy, fill, unknown: None }
    }
}

impl Replace for Tells {
    fn replacement(&mut self, instruction: &Instr, operands: &Operands) -> Option<Vec<Instr>> {
        let call = |func| Some(vec![Instr::Call(Call { func })]);
        let (access, others, offset, bytes) = match instruction {
            Instr::Load(load) => (Access::Read, vec![], load.arg.offset, load.kind.width()),
            Instr::Store(store) => {
                (Access::Write, vec![operands.stored(store.kind)], store.arg.offset, store.kind.width())
            }
            Instr::AtomicRmw(change) => {
                let [value, _] = operands.exchanged(change.width);
                (Access::Read, vec![value], change.arg.offset, change.width.bytes())
            }
            Instr::Cmpxchg(change) => {
                let [expected, value] = operands.exchanged(change.width);
                (Access::Read, vec![value, expected], change.arg.offset, change.width.bytes())
            }
            Instr::MemoryCopy(_) => return call(self.copy),
            Instr::MemoryFill(_) => return call(self.fill),
            Instr::LoadSimd(_) | Instr::AtomicWait(_) => {
                self.unknown.get_or_insert_with(|| format!("{instruction:?}"));
                return None;
            }
            _ => return None,
        };
        let mut telling: Vec<Instr> = others.iter().map(|local| LocalSet { local: *local }.into()).collect();
        telling.extend([
            LocalSet { local: operands.address }.into(),
            constant(access as i32),
            LocalGet { local: operands.address }.into(),
            constant(offset as u32 as i32),
            Binop { op: BinaryOp::I32Add }.into(),
            constant(bytes as i32),
            Call { func: self.told }.into(),
            LocalGet { local: operands.address }.into(),
        ]);
        telling.extend(others.iter().rev().map(|local| Instr::from(LocalGet { local: *local })));
        telling.push(instruction.clone());
        Some(telling)
    }
}

fn constant(value: i32) -> Instr {
    Const { value: Value::I32(value) }.into()
}

/// A function of three numbers, as the operands of `memory.copy` and `memory.fill`.
fn ranges(module: &mut Module, build: impl FnOnce(&mut InstrSeqBuilder<'_>, [LocalId; 3])) -> FunctionId {
    let locals = [(); 3].map(|()| module.locals.add(ValType::I32));
    let mut builder = FunctionBuilder::new(&mut module.types, &[ValType::I32; 3], &[]);
    build(&mut builder.func_body(), locals);
    builder.finish(locals.to_vec(), &mut module.funcs)
}

fn tell(body: &mut InstrSeqBuilder<'_>, told: FunctionId, access: Access, address: LocalId, length: LocalId) {
    body.i32_const(access as i32).local_get(address).local_get(length).call(told);
}
