//! How much shadow stack one function takes, read from its instructions.
//!
//! LLVM takes a frame with `global.get $sp; i32.const N; i32.sub`, keeps the result in a local, and
//! gives it back through that local. A function that calls nothing may use the bytes below the
//! pointer without writing the pointer at all, so the subtraction is what counts, not the write.
//! Whatever does not have this form is an error: an unknown frame has no bound.

use std::collections::HashMap;

use walrus::ir::{BinaryOp, Instr, InstrLocId, InstrSeq, InstrSeqId, Value, Visitor, dfs_in_order};
use walrus::{GlobalId, LocalFunction, LocalId};

use crate::Result;

/// Where an instruction stands: its sequence, and its place in it.
pub type Position = (InstrSeqId, usize);

/// The shadow stack that one call of a function takes.
#[derive(Debug, Default)]
pub struct Frame {
    /// Bytes below the stack pointer at the function's entry, the padding of alignment included.
    pub bytes: i64,
    /// The instructions that leave a pointer to the bottom of the frame on the operand stack.
    pub taken_at: Vec<Position>,
}

/// Reads the frame of `function`, in time linear in its length.
///
/// # Errors
/// When the function moves the stack pointer by an amount that is not a constant, reads it more
/// than once, or gives back more than it took.
pub fn frame(function: &LocalFunction, pointer: GlobalId) -> Result<Frame> {
    let mut reader =
        Reader { pointer, reads: 0, open: Vec::new(), locals: HashMap::new(), frame: Frame::default(), fault: None };
    dfs_in_order(&mut reader, function, function.entry_block());
    match reader.fault {
        None => Ok(reader.frame),
        Some(fault) => Err(fault.into()),
    }
}

/// An operand whose distance from the stack pointer at the function's entry is known.
#[derive(Clone, Copy)]
struct Depth {
    below: i64,
    /// Computed from the stack pointer itself, not from a local that holds the frame.
    from_pointer: bool,
}

struct Reader<'function> {
    pointer: GlobalId,
    reads: usize,
    /// The instructions so far of each sequence that is still open, innermost last.
    open: Vec<(InstrSeqId, Vec<&'function Instr>)>,
    locals: HashMap<LocalId, Depth>,
    frame: Frame,
    fault: Option<&'static str>,
}

impl Reader<'_> {
    /// The operand that the last of `instructions` leaves.
    fn operand(&self, instructions: &[&Instr]) -> Option<Depth> {
        let (last, before) = instructions.split_last()?;
        match last {
            Instr::GlobalGet(get) if get.global == self.pointer => Some(Depth { below: 0, from_pointer: true }),
            Instr::LocalGet(get) => self.locals.get(&get.local).copied(),
            Instr::LocalTee(_) => self.operand(before),
            Instr::Binop(operation) => {
                let (Instr::Const(constant), rest) = before.split_last()? else {
                    return None;
                };
                let Value::I32(constant) = constant.value else {
                    return None;
                };
                let depth = self.operand(rest)?;
                let lowered_by = match operation.op {
                    BinaryOp::I32Sub => i64::from(constant),
                    BinaryOp::I32Add => -i64::from(constant),
                    // An alignment mask of -2^k lowers by at most 2^k - 1.
                    BinaryOp::I32And if constant < 0 && constant.unsigned_abs().is_power_of_two() => {
                        -i64::from(constant) - 1
                    }
                    _ => return None,
                };
                Some(Depth { below: depth.below + lowered_by, ..depth })
            }
            _ => None,
        }
    }

    fn take(&mut self, sequence: InstrSeqId, index: usize, bytes: i64) {
        self.frame.bytes = self.frame.bytes.max(bytes);
        // A subtraction and the mask that aligns its result take one frame together.
        if self.frame.taken_at.last() == Some(&(sequence, index.wrapping_sub(2))) {
            self.frame.taken_at.pop();
        }
        self.frame.taken_at.push((sequence, index));
    }
}

impl<'function> Visitor<'function> for Reader<'function> {
    fn start_instr_seq(&mut self, sequence: &'function InstrSeq) {
        self.open.push((sequence.id(), Vec::new()));
    }

    fn end_instr_seq(&mut self, _: &'function InstrSeq) {
        self.open.pop();
    }

    fn visit_instr(&mut self, instruction: &'function Instr, _: &'function InstrLocId) {
        let Some((sequence, instructions)) = self.open.last_mut() else {
            return;
        };
        let (sequence, index) = (*sequence, instructions.len());
        instructions.push(instruction);
        let upto = |end: usize| self.open.last().and_then(|(_, all)| self.operand(&all[..end]));
        match instruction {
            Instr::GlobalGet(get) if get.global == self.pointer => {
                self.reads += 1;
                if self.reads > 1 {
                    self.fault = Some("reads the stack pointer more than once");
                }
            }
            Instr::Binop(_) => {
                if let Some(Depth { below: bytes @ 1.., from_pointer: true }) = upto(index + 1) {
                    self.take(sequence, index, bytes);
                }
            }
            Instr::LocalSet(walrus::ir::LocalSet { local }) | Instr::LocalTee(walrus::ir::LocalTee { local }) => {
                match upto(index) {
                    Some(depth) => self.locals.insert(*local, Depth { from_pointer: false, ..depth }),
                    None => self.locals.remove(local),
                };
            }
            Instr::GlobalSet(set) if set.global == self.pointer => match upto(index) {
                None => self.fault = Some("moves the stack pointer by an amount that is not constant"),
                Some(depth) if depth.below > self.frame.bytes => {
                    self.fault = Some("lowers the stack pointer below its frame");
                }
                Some(depth) if depth.below < 0 => {
                    self.fault = Some("raises the stack pointer above where it was");
                }
                Some(_) => {}
            },
            _ => {}
        }
    }
}
