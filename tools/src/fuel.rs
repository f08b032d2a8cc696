//! A module that counts how far its loops go: the shipped code, with one unit of fuel taken at the beginning of each round of each loop.
//!
//! The global `fuel` is how much is left. Who calls the module puts some in before, and sees afterwards how many rounds the call took; a
//! call that has none left traps. So what would never end is an error here.

use walrus::ir::{
    BinaryOp, Binop, Const, GlobalGet, GlobalSet, IfElse, Instr, InstrLocId, InstrSeqType, Loop, Unreachable,
};
use walrus::ir::{InstrSeqId, UnaryOp, Unop, Value, Visitor, dfs_in_order};
use walrus::{ConstExpr, FunctionId, GlobalId, ValType};

use crate::{Result, parse};

/// The global, exported.
pub const FUEL: &str = "fuel";

/// The instrumented module, and how many loops it has.
pub struct Fuelled {
    /// The module.
    pub wasm: Vec<u8>,
    /// Loops, the nested ones included.
    pub loops: usize,
}

/// Makes every loop of `wasm` take fuel.
///
/// # Errors
/// When it is no module, or has a global of this name.
pub fn fuel(wasm: &[u8]) -> Result<Fuelled> {
    let mut module = parse(wasm)?;
    if module.exports.iter().any(|export| export.name == FUEL) {
        return Err(format!("the module exports {FUEL} already"));
    }
    let zero = ConstExpr::Value(Value::I32(0));
    let left = module.globals.add_local(ValType::I32, true, false, zero);
    module.exports.add(FUEL, left);
    let functions: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    let mut loops = 0;
    for function in functions {
        let local = module.funcs.get_mut(function).kind.unwrap_local_mut();
        let mut bodies = Bodies(Vec::new());
        dfs_in_order(&mut bodies, local, local.entry_block());
        loops += bodies.0.len();
        for body in bodies.0 {
            let empty = local.builder_mut().dangling_instr_seq(InstrSeqType::Simple(None)).id();
            let stop = local.builder_mut().dangling_instr_seq(InstrSeqType::Simple(None));
            let trap = stop.id();
            local.block_mut(trap).instrs.push((Unreachable {}.into(), InstrLocId::default()));
            let round = take_one(left, trap, empty).map(|instruction| (instruction, InstrLocId::default()));
            local.block_mut(body).instrs.splice(0..0, round);
        }
    }
    Ok(Fuelled { wasm: module.emit_wasm(), loops })
}

/// Traps when nothing is left, and takes one.
fn take_one(left: GlobalId, trap: InstrSeqId, empty: InstrSeqId) -> [Instr; 7] {
    [
        GlobalGet { global: left }.into(),
        Unop { op: UnaryOp::I32Eqz }.into(),
        IfElse { consequent: trap, alternative: empty }.into(),
        GlobalGet { global: left }.into(),
        Const { value: Value::I32(1) }.into(),
        Binop { op: BinaryOp::I32Sub }.into(),
        GlobalSet { global: left }.into(),
    ]
}

/// The bodies of loops.
struct Bodies(Vec<InstrSeqId>);

impl Visitor<'_> for Bodies {
    fn visit_loop(&mut self, each: &Loop) {
        self.0.push(each.seq);
    }
}
