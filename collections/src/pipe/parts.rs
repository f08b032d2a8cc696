//! The first half of a loan, for models in which an agent dies before it can say what it has. Not in what ships.

use super::read::{Found, gather, take};
use super::*;

/// Takes so many bytes at most on loan as far as `steps` says: prepared, or the head moved on. The loan does not say so.
///
/// # Errors
/// As [`lease`].
pub fn begin_lease(operation: &Operation, handle: Handle, most: u32, steps: u32) -> Result<()> {
    let view = open_sound(operation, handle)?;
    let block = block::allocate(operation, most, Kind::Pipe)?;
    operation.note(Note { handle, purpose: Purpose::Leasing }.to_word());
    let Found::Bytes(found) = gather(&view, (block.address, most), None, &mut None)? else { return Ok(()) };
    let Some((number, prepared)) = loans::claim_free(operation, &view)? else { return Ok(()) };
    let at = view.loan(number);
    view.memory.store64(at.wrapping_add(POSITION), found.head.position());
    view.memory.store64(at.wrapping_add(LENGTH), u64::from(found.length));
    let Ok(()) = operation.replace(at.wrapping_add(BLOCK), 0, block.to_word(), Some(block), None)? else {
        return view.corrupt();
    };
    if steps == 0 || take(operation, &view, found, Some(number))? {
        return Ok(());
    }
    // Its block is gone with it: the rest is as with no steps.
    let _ = view.change_loan(number, prepared, prepared.with(State::Done));
    loans::finish(operation, &view, number)
}
