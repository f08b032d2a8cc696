//! What the instrumented modules of the tests have in common: the shipped code, in which some instructions give way to others that call an
//! import first.

use walrus::ir::{AtomicWidth, Instr, InstrLocId, InstrSeq, StoreKind, VisitorMut, dfs_pre_order_mut};
use walrus::{FunctionId, LocalId, MemoryId, Module, ValType};

use crate::{Result, parse};

/// An instrumented module, and how many places of its code are other ones than before.
pub struct Instrumented {
    /// The module.
    pub wasm: Vec<u8>,
    /// Instructions that gave way to others.
    pub places: usize,
}

/// What becomes of the instructions of a module.
pub(crate) trait Replace {
    /// What stands in place of `instruction`; `None`: it stays.
    fn replacement(&mut self, instruction: &Instr, operands: &Operands) -> Option<Vec<Instr>>;
}

/// Replaces instructions of `wasm`, which has no import of module `env` with this name yet. Functions that `make` adds stay as they are.
///
/// # Errors
/// When it is no module, has no memory, or has that import already.
pub(crate) fn instrument<R: Replace>(
    wasm: &[u8],
    import: &str,
    make: impl FnOnce(&mut Module, MemoryId) -> R,
) -> Result<(Instrumented, R)> {
    let mut module = parse(wasm)?;
    if module.imports.find("env", import).is_some() {
        return Err(format!("the module imports {import} already"));
    }
    let memory = module.memories.iter().next().ok_or("the module has no memory")?.id();
    let functions: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    let mut replace = make(&mut module, memory);
    let mut places = 0;
    for function in functions {
        let operands = Operands::new(&mut module);
        let mut visitor = Visitor { replace: &mut replace, operands, places };
        let local = module.funcs.get_mut(function).kind.unwrap_local_mut();
        let entry = local.entry_block();
        dfs_pre_order_mut(&mut visitor, local, entry);
        places = visitor.places;
    }
    Ok((Instrumented { wasm: module.emit_wasm(), places }, replace))
}

/// Where the operands of an instruction stand while the import is called; of those of a function that it has no use for, nothing is emitted.
pub(crate) struct Operands {
    pub(crate) address: LocalId,
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

    /// The value of a store.
    pub(crate) fn stored(&self, kind: StoreKind) -> LocalId {
        match kind {
            StoreKind::I32 { .. } | StoreKind::I32_8 { .. } | StoreKind::I32_16 { .. } => self.i32[0],
            StoreKind::F32 => self.f32,
            StoreKind::F64 => self.f64,
            StoreKind::V128 => self.v128,
            _ => self.i64[0],
        }
    }

    /// The values of an atomic change: the last one, and the one that is expected.
    pub(crate) fn exchanged(&self, width: AtomicWidth) -> [LocalId; 2] {
        match width {
            AtomicWidth::I32 | AtomicWidth::I32_8 | AtomicWidth::I32_16 => self.i32,
            _ => self.i64,
        }
    }
}

struct Visitor<'a, R> {
    replace: &'a mut R,
    operands: Operands,
    places: usize,
}

impl<R: Replace> VisitorMut for Visitor<'_, R> {
    fn start_instr_seq_mut(&mut self, sequence: &mut InstrSeq) {
        let before: Vec<(Instr, InstrLocId)> = std::mem::take(&mut sequence.instrs);
        for (instruction, place) in before {
            match self.replace.replacement(&instruction, &self.operands) {
                None => sequence.instrs.push((instruction, place)),
                Some(others) => {
                    self.places += 1;
                    sequence.instrs.extend(others.into_iter().map(|instruction| (instruction, place)));
                }
            }
        }
    }
}
