//! Who is writing to an object, so that nobody takes it away underneath.
//!
//! A read may race with a release: it looks again afterwards and throws away what it read. A write cannot be thrown
//! away. So an agent puts the object's handle into the *hold* word of its slot, looks whether the object is live, and
//! then writes; and who released the object frees it only if no other agent that is online holds it. (The releaser's own hold is
//! of an operation that is over, except where memory is short: there it skips what it holds itself.) Either the writer sees
//! the release, or the releaser sees the hold: both look after they wrote, in the one order of all.
//!
//! A hold costs one swap when the object is another one than last time, nothing when it is the same: nobody clears it
//! after a write to a cell, and holds of agents that are offline do not count (coming online is a read-modify-write,
//! after which the object is looked at again), unless they are condemned: those may have stopped in the middle of a write, and hold until they are reaped. So at most one released object an agent is freed late: whoever needs a
//! free entry tries again. Byte regions are let go at once, because their blocks are large.

use coheap_alloc::layout::slot;

use coheap_alloc::{Address, Memory, Operation, Result, SlotWord, slot as slots};

use crate::claim;
use crate::object::{Handle, Table, Type};

/// Holds the object of `handle` and finds it live: from here until the operation ends its entry and its block stay
/// what they are. One swap, or none.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`].
#[inline(never)]
pub(crate) fn hold(operation: &Operation, handle: Handle, kind: Type) -> Result<Address> {
    hold_here(operation, handle, kind)
}

/// As [`hold`], in line: for calls that do little more.
///
/// # Errors
/// Those of [`hold`].
#[inline(always)]
pub(crate) fn hold_here(operation: &Operation, handle: Handle, kind: Type) -> Result<Address> {
    let table = Table::of(operation);
    let entry = table.entry_here(handle.index).ok_or_else(|| handle.stale())?;
    let at = operation.agent().slot().wrapping_add(slot::HOLD);
    publish(table.memory, at, handle);
    match table.check(entry, handle, kind) {
        Ok(()) => Ok(entry),
        Err(error) => {
            // Who released it may have seen the hold, and left the rest to this agent.
            let_go(operation, handle)?;
            Err(error)
        }
    }
}

/// Holds an object again that this operation held, if it has held another one since.
///
/// # Errors
/// Those of [`hold`].
#[inline(always)]
pub(crate) fn hold_still(operation: &Operation, handle: Handle, kind: Type) -> Result<()> {
    // Nobody else writes there.
    let held = operation.memory().own64(operation.agent().slot().wrapping_add(slot::HOLD));
    if held == handle.to_word() { Ok(()) } else { hold(operation, handle, kind).map(drop) }
}

/// As [`hold`], whatever the object's type.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`].
pub(crate) fn hold_any(operation: &Operation, handle: Handle) -> Result<Address> {
    let table = Table::of(operation);
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    publish(table.memory, operation.agent().slot().wrapping_add(slot::HOLD), handle);
    match table.check_any(entry, handle) {
        Ok(_) => Ok(entry),
        Err(error) => {
            let_go(operation, handle)?;
            Err(error)
        }
    }
}

/// The writer's half: the hold is in the word, in the one order of all, when this returns.
#[inline]
pub fn publish(memory: Memory, at: Address, handle: Handle) {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::HOLD_BY_PLAIN_STORE) {
        // Seeded bug: the store may still be on its way when the object is looked at.
        return;
    }
    if memory.own64(at) != handle.to_word() {
        memory.swap64(at, handle.to_word());
    }
}

/// Lets go of an object whose block is large, and frees it if it was released meanwhile.
///
/// # Errors
/// Those of [`Operation::replace`].
#[cold]
#[inline(never)]
pub(crate) fn let_go(operation: &Operation, handle: Handle) -> Result<()> {
    let table = Table::of(operation);
    table.memory.swap64(operation.agent().slot().wrapping_add(slot::HOLD), 0);
    // Another object's is none of ours: then nothing happens.
    claim::finish(operation, handle)
}

/// Whether this agent holds the object itself.
pub(crate) fn is_own(operation: &Operation, handle: Handle) -> bool {
    operation.memory().own64(operation.agent().slot().wrapping_add(slot::HOLD)) == handle.to_word()
}

/// The releaser's half: whether another agent that is online holds the object. One load for each slot that was ever used:
/// who attaches later finds the object released.
pub(crate) fn is_held(operation: &Operation, handle: Handle) -> bool {
    let memory = operation.memory();
    let own = operation.agent().slot();
    let holder =
        slots::each_used(memory, operation.control(), |_, at| (at != own && holds(memory, at, handle)).then_some(()));
    holder.is_some()
}

/// Whether the agent of the slot at `at` holds the object, and is online or stopped in the middle of an operation.
#[inline]
#[must_use]
pub fn holds(memory: Memory, at: Address, handle: Handle) -> bool {
    memory.load64_ordered(at.wrapping_add(slot::HOLD)) == handle.to_word()
        && SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD))).may_be_inside()
}
