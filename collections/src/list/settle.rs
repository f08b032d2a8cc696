//! What becomes of a change of a list that was cut short.
//!
//! *A push* is one recorded exchange. *A change of a place* has happened if its announcement says that it is done; else it is
//! refused. *An edit* has happened if its root ends the one before it. What each of them had made, or replaced, goes.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Operation, Result};

use super::words::*;
use super::writer::{Writer, finish};
use crate::holdings::Holder;
use crate::object::{Handle, Table};
use crate::{string, value};

/// At work in the list that the holder was at work in.
pub(super) fn again(operation: &Operation, holder: Holder) -> Result<Writer<'_>> {
    let handle = Handle::from_word(operation.memory().load64(holder.slot.wrapping_add(slot::HOLD)));
    let entry = Table::of(operation).entry(handle.index).ok_or_else(|| handle.stale())?;
    Writer::again(operation, handle, entry)
}

/// Decides what the holder's slot says about a change of a place. Idempotent; the holder does not run, and what it held is held.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`].
pub(crate) fn settle_setting(operation: &Operation, holder: Holder) -> Result<()> {
    let (memory, table) = (operation.memory(), Table::of(operation));
    let field = |offset: Address| holder.slot.wrapping_add(offset);
    let seen = memory.load64_ordered(field(slot::SETTING));
    if seen & 3 == IDLE {
        return Ok(());
    }
    let _ = memory.compare_exchange64(field(slot::SETTING), seen & !3 | PENDING, seen & !3 | REFUSED);
    let decided = memory.load64_ordered(field(slot::SETTING));
    let at = memory.load64(field(slot::SET_AT)) as Address;
    table.check_own(at)?;
    let word = super::words::operation(holder.index, (decided >> 2) as u32);
    if memory.load64_ordered(at) == word {
        finish(operation, at, word)?;
    }
    let gone = memory.load64(field(if decided & 3 == DONE { slot::SET_OLD } else { slot::SET_NEW }));
    // References are settled by themselves.
    let block = if value::is_reference(gone) { None } else { string::block_of(table, gone) };
    let _ = operation.replace(field(slot::SETTING), decided, decided & !3, None, block)?;
    Ok(())
}
