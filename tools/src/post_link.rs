//! From the linker's module to `heap.wasm`: one that may be instantiated over a memory in use.
//!
//! An attacher must not run the start function (it would initialise a live heap's statics again),
//! must not wait (a host agent cannot), and needs to know which agent it is without thread-locals.

use walrus::ir::{
    BinaryOp, Binop, Call, GlobalGet, GlobalSet, IfElse, Instr, InstrLocId, InstrSeqType, LocalGet, LocalTee,
    Unreachable, VisitorMut, dfs_pre_order_mut,
};
use walrus::{ConstExpr, FunctionId, GlobalId, ImportKind, Module, ModuleConfig, ValType, passes};

use crate::arrange::arrange;
use crate::call_graph::{Calls, reachable};
use crate::frame::{Position, frame};
use crate::{Result, function_name, parse, stack_pointer};

/// The linker's start function under the name by which the creator, and only the creator, calls it.
pub const START: &str = "coheap_start";
/// The globals that name the agent of an instance, its slot and which of the slot's agents it is; JavaScript sets them.
/// Code reads each by calling the import of the same name.
pub const SEAT: [&str; 2] = ["agent", "incarnation"];
/// The globals with the details of an instance's last error. Code reads and writes each by calling an import: the first by
/// `error_first` and `set_error_first`, and so on. Nothing else does.
pub const ERROR: [&str; 3] = ["error_first", "error_second", "error_third"];
/// The global below which the stack pointer never goes: the next lower write traps. 0 = unchecked.
pub const STACK_LIMIT: &str = "__stack_limit";

/// The same functions twice.
pub struct Linked {
    /// The module to ship: no custom section.
    pub shipped: Vec<u8>,
    /// With the names of functions, for people and tools.
    pub named: Vec<u8>,
}

/// Rewrites what the linker made.
///
/// # Errors
/// When the module cannot be made to write nothing and to wait for nothing as it is instantiated,
/// imports anything besides `env.memory`, `env.wait`, `env.notify` and `env.now`, or moves its stack pointer
/// in a way that cannot be checked.
pub fn post_link(wasm: &[u8]) -> Result<Linked> {
    let mut module = parse(wasm)?;
    require_passive_data(&module)?;
    export_start(&mut module)?;
    refuse_waits(&module)?;
    for name in SEAT {
        let global = add_exported_global(&mut module, name);
        access(&mut module, name, Access::Get, global)?;
    }
    for name in ERROR {
        let global = add_global(&mut module, name);
        access(&mut module, name, Access::Get, global)?;
        access(&mut module, &format!("set_{name}"), Access::Set, global)?;
    }
    check_stack(&mut module)?;
    passes::gc::run(&mut module);
    refuse_unknown_imports(&module)?;

    let sections: Vec<_> = module.customs.iter().map(|(section, _)| section).collect();
    for section in sections {
        module.customs.delete(section);
    }
    let named = module.emit_wasm();
    let shipped = ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(&named)
        .map_err(|error| format!("the rewritten module is not valid: {error:#}"))?
        .emit_wasm();
    Ok(Linked { shipped: arrange(&shipped)?, named })
}

fn require_passive_data(module: &Module) -> Result<()> {
    for (index, data) in module.data.iter().enumerate() {
        if !data.is_passive() {
            let name = data.name.as_deref().unwrap_or("unnamed");
            return Err(format!(
                "data segment {index} ({name}) is active, so every instance would write it: link with --shared-memory"
            ));
        }
    }
    Ok(())
}

/// The linker's start function waits for another thread that may be initialising. The creator is
/// alone when it calls it, so that branch is never taken: it becomes a trap.
fn export_start(module: &mut Module) -> Result<()> {
    let start = module.start.take().ok_or("no start function: link with --shared-memory")?;
    module.exports.add(START, start);
    for function in reachable(module, &[start]) {
        rewrite(module, function, |instruction| {
            if let Instr::AtomicWait(_) = instruction {
                *instruction = Unreachable {}.into();
            }
        });
    }
    Ok(())
}

fn refuse_waits(module: &Module) -> Result<()> {
    for (id, function) in module.funcs.iter_local() {
        if Calls::of(function).waits > 0 {
            let name = function_name(module, id);
            return Err(format!("{name} has a wait instruction; only the import env.wait may wait"));
        }
    }
    Ok(())
}

/// What a call of an import becomes.
#[derive(Clone, Copy)]
enum Access {
    Get,
    Set,
}

impl Access {
    fn signature(self) -> (&'static [ValType], &'static [ValType], &'static str) {
        match self {
            Self::Get => (&[], &[ValType::I32], "() -> i32"),
            Self::Set => (&[ValType::I32], &[], "(i32) -> ()"),
        }
    }

    fn of(self, global: GlobalId) -> Instr {
        match self {
            Self::Get => GlobalGet { global }.into(),
            Self::Set => GlobalSet { global }.into(),
        }
    }
}

/// Turns the calls of the import `name`, if there is one, into accesses of the global.
fn access(module: &mut Module, name: &str, access: Access, global: GlobalId) -> Result<()> {
    let Some(import) = module.imports.find("env", name) else {
        return Ok(());
    };
    let ImportKind::Function(imported) = module.imports.get(import).kind else {
        return Err(format!("env.{name} is not a function"));
    };
    let signature = module.types.get(module.funcs.get(imported).ty());
    let (parameters, results, form) = access.signature();
    if signature.params() != parameters || signature.results() != results {
        return Err(format!("env.{name} is not a function {form}"));
    }
    let functions: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    for function in functions {
        rewrite(module, function, |instruction| {
            if matches!(instruction, Instr::Call(Call { func }) if *func == imported) {
                *instruction = access.of(global);
            }
        });
    }
    Ok(())
}

/// Traps as soon as a frame would begin below the limit, before the stack pointer has moved.
fn check_stack(module: &mut Module) -> Result<()> {
    let pointer = stack_pointer(module)?;
    let limit = add_exported_global(module, STACK_LIMIT);
    let mut frames = Vec::new();
    for (id, function) in module.funcs.iter_local() {
        let frame = frame(function, pointer).map_err(|fault| format!("{} {fault}", function_name(module, id)))?;
        frames.push((id, frame.taken_at));
    }
    for (function, taken_at) in frames {
        // From the back, so that the positions before stay right.
        for position in taken_at.into_iter().rev() {
            insert_check(module, function, position, limit);
        }
    }
    Ok(())
}

fn insert_check(module: &mut Module, id: FunctionId, at: Position, limit: GlobalId) {
    let local = module.locals.add(ValType::I32);
    let function = module.funcs.get_mut(id).kind.unwrap_local_mut();
    let nothing = InstrSeqType::Simple(None);
    let alternative = function.builder_mut().dangling_instr_seq(nothing).id();
    let consequent = function.builder_mut().dangling_instr_seq(nothing).unreachable().id();
    let check: [Instr; 5] = [
        LocalTee { local }.into(),
        GlobalGet { global: limit }.into(),
        Binop { op: BinaryOp::I32LtU }.into(),
        IfElse { consequent, alternative }.into(),
        LocalGet { local }.into(),
    ];
    let (sequence, index) = at;
    let instructions = &mut function.block_mut(sequence).instrs;
    let place = instructions[index].1;
    instructions.splice(index + 1..index + 1, check.map(|instruction| (instruction, place)));
}

fn refuse_unknown_imports(module: &Module) -> Result<()> {
    for import in module.imports.iter() {
        let known = match (import.module.as_str(), import.name.as_str()) {
            ("env", "memory") => matches!(import.kind, ImportKind::Memory(_)),
            ("env", "wait" | "notify" | "now") => matches!(import.kind, ImportKind::Function(_)),
            ("env", name) if SEAT.contains(&name) || ERROR.contains(&name.trim_start_matches("set_")) => {
                return Err(format!("env.{name} is used as a value, not called"));
            }
            _ => false,
        };
        if !known {
            return Err(format!("unknown import {}.{}", import.module, import.name));
        }
    }
    Ok(())
}

fn add_global(module: &mut Module, name: &str) -> GlobalId {
    let zero = ConstExpr::Value(walrus::ir::Value::I32(0));
    let global = module.globals.add_local(ValType::I32, true, false, zero);
    module.globals.get_mut(global).name = Some(name.into());
    global
}

fn add_exported_global(module: &mut Module, name: &str) -> GlobalId {
    let global = add_global(module, name);
    module.exports.add(name, global);
    global
}

/// Applies `change` to every instruction of a function; an imported one has none.
fn rewrite(module: &mut Module, function: FunctionId, change: impl FnMut(&mut Instr)) {
    struct Change<F>(F);
    impl<F: FnMut(&mut Instr)> VisitorMut for Change<F> {
        fn visit_instr_mut(&mut self, instruction: &mut Instr, _: &mut InstrLocId) {
            (self.0)(instruction);
        }
    }
    if let walrus::FunctionKind::Local(function) = &mut module.funcs.get_mut(function).kind {
        let entry = function.entry_block();
        dfs_pre_order_mut(&mut Change(change), function, entry);
    }
}
