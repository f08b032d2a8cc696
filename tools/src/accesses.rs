//! A module that says what it reads and writes: the shipped code with a call before every access to shared memory.
//!
//! What an agent does follows from the bytes that it reads. So two heaps that differ in other bytes alone are one case for it, and a test
//! need not try both.

use walrus::ir::{
    AtomicWidth, BinaryOp, Binop, Call, Const, Instr, InstrLocId, InstrSeq, LocalGet, LocalSet, MemoryCopy, MemoryFill,
    StoreKind, Value, VisitorMut, dfs_pre_order_mut,
};
use walrus::{FunctionBuilder, FunctionId, InstrSeqBuilder, LocalId, MemoryId, Module, ValType};

use crate::{Result, parse};

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

/// The instrumented module, and how many places of its code tell something.
pub struct Telling {
    /// The module.
    pub wasm: Vec<u8>,
    /// Instructions that were given a call.
    pub places: usize,
}

/// Makes `wasm` tell of every access. `memory.init` is not told of: it reads no memory, and who knows of fewer writes is only careful.
///
/// # Errors
/// When it is no module, has no memory, has a name of this step's already, or an instruction that is not known here: loads of SIMD that
/// are more than one vector, and waits.
pub fn accesses(wasm: &[u8]) -> Result<Telling> {
    let mut module = parse(wasm)?;
    if module.imports.find("env", TOLD).is_some() {
        return Err(format!("the module imports {TOLD} already"));
    }
    let memory = module.memories.iter().next().ok_or("the module has no memory")?.id();
    let functions: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    // Made after `functions` was: they tell nothing of their own.
    let mut tells = Tells::new(&mut module, memory);
    for function in functions {
        tells.operands = Operands::new(&mut module);
        let local = module.funcs.get_mut(function).kind.unwrap_local_mut();
        let entry = local.entry_block();
        dfs_pre_order_mut(&mut tells, local, entry);
    }
    match tells.unknown {
        Some(instruction) => Err(format!("an instruction that is not known here: {instruction}")),
        None => Ok(Telling { places: tells.places, wasm: module.emit_wasm() }),
    }
}

/// Where the operands of an instruction stand while it is told; of those of a function that it has no use for, nothing is emitted.
struct Operands {
    address: LocalId,
    i32: [LocalId; 2],
    i64: [LocalId; 2],
    f32: LocalId,
    f64: LocalId,
    v128: LocalId,
}

impl Operands {
    fn new(module: &mut Module) -> Operands {
        let mut add = |of| module.locals.add(of);
        let [address, i32, i32_too] = [(); 3].map(|()| add(ValType::I32));
        let [i64, i64_too] = [(); 2].map(|()| add(ValType::I64));
        let [f32, f64, v128] = [ValType::F32, ValType::F64, ValType::V128].map(add);
        Operands { address, i32: [i32, i32_too], i64: [i64, i64_too], f32, f64, v128 }
    }

    fn stored(&self, kind: StoreKind) -> LocalId {
        match kind {
            StoreKind::I32 { .. } | StoreKind::I32_8 { .. } | StoreKind::I32_16 { .. } => self.i32[0],
            StoreKind::F32 => self.f32,
            StoreKind::F64 => self.f64,
            StoreKind::V128 => self.v128,
            _ => self.i64[0],
        }
    }

    fn exchanged(&self, width: AtomicWidth) -> [LocalId; 2] {
        match width {
            AtomicWidth::I32 | AtomicWidth::I32_8 | AtomicWidth::I32_16 => self.i32,
            _ => self.i64,
        }
    }
}

struct Tells {
    told: FunctionId,
    operands: Operands,
    copy: FunctionId,
    fill: FunctionId,
    places: usize,
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
        Tells { told, operands: Operands::new(module), copy, fill, places: 0, unknown: None }
    }

    /// What stands in place of `instruction`; `None`: it stays.
    fn replacement(&mut self, instruction: &Instr) -> Option<Vec<Instr>> {
        let call = |func| Some(vec![Instr::Call(Call { func })]);
        let operands = &self.operands;
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

impl VisitorMut for Tells {
    fn start_instr_seq_mut(&mut self, sequence: &mut InstrSeq) {
        let before: Vec<(Instr, InstrLocId)> = std::mem::take(&mut sequence.instrs);
        for (instruction, place) in before {
            match self.replacement(&instruction) {
                None => sequence.instrs.push((instruction, place)),
                Some(telling) => {
                    self.places += 1;
                    sequence.instrs.extend(telling.into_iter().map(|instruction| (instruction, place)));
                }
            }
        }
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
