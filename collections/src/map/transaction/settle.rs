//! The end of a transaction, by its agent or by whoever recovers it: the same for both.

use coheap_alloc::layout::{PAGE, slot};
use coheap_alloc::{Address, Block, Error, Memory, Operation, Result};

use super::look::abort;
use super::words::*;
use crate::holdings::Holder;
use crate::map::key;
use crate::map::view::corrupt;
use crate::map::words::{KEY, VALUE, joined};
use crate::map::writer::Writer;
use crate::object::Handle;
use crate::pipe::{self, Lease};
use crate::value;
use crate::wait::Wake;

/// Ends what the holder's slot says about a transaction: forward if it was committed, else back. Idempotent; the holder
/// does not run, or is the agent of the operation. What it held is held.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`].
pub(super) fn settle(operation: &Operation, holder: Holder) -> Result<Wake> {
    settle_some(operation, holder, u32::MAX).map(|wake| wake.unwrap_or(Wake::NONE))
}

/// As [`settle`], but not more than `most` keys. `None`: there are more, which another call is to settle.
///
/// # Errors
/// As [`settle`].
pub(crate) fn settle_some(operation: &Operation, holder: Holder, most: u32) -> Result<Option<Wake>> {
    let memory = operation.memory();
    let (at, records_at) = places(holder);
    let seen = memory.load64_ordered(at);
    let Some(records) = Block::from_word(memory.load64(records_at)) else {
        if phase(seen) != IDLE {
            memory.store64(at, with_phase(seen, IDLE));
        }
        return Ok(Some(Wake::NONE));
    };
    check(memory, records.address, RECORDS)?;
    abort(memory, at, with_phase(seen, UNDECIDED));
    if !finish_entries(operation, holder, records, most)? {
        return Ok(None);
    }
    let mut wake = Wake::NONE;
    if phase(memory.load64_ordered(at)) == SETTLED {
        #[cfg(feature = "controls")]
        let skipped = crate::controls::is_on(crate::controls::LOAN_UNSETTLED);
        #[cfg(not(feature = "controls"))]
        let skipped = false;
        if !skipped {
            wake = commit(operation, holder, records.address)?;
        }
        memory.store64(at, with_phase(memory.load64(at), IDLE));
    }
    let _ = operation.replace(records_at, records.to_word(), 0, None, Some(records))?;
    Ok(Some(wake))
}

fn places(holder: Holder) -> (Address, Address) {
    (holder.slot.wrapping_add(slot::TRANSACTION), holder.slot.wrapping_add(slot::TRANSACTION_RECORDS))
}

#[inline(never)]
fn check(memory: Memory, at: Address, size: u32) -> Result<()> {
    let lies = at >= PAGE && at.is_multiple_of(16) && memory.has(at, size);
    if lies { Ok(()) } else { corrupt(at) }
}

/// Takes every entry out of a transaction that is decided, but not more than `most`; whether that is all: then it is settled, or idle.
/// The holder is at work in the map.
pub(super) fn finish_entries(operation: &Operation, holder: Holder, records: Block, most: u32) -> Result<bool> {
    let memory = operation.memory();
    let (at, _) = places(holder);
    let decided = memory.load64_ordered(at);
    let to = match phase(decided) {
        COMMITTED => SETTLED,
        ABORTED => IDLE,
        _ => return Ok(true),
    };
    let field = |offset: Address| memory.load64(records.address.wrapping_add(offset));
    let count = counts(field(COUNT)).0.min(super::MOST);
    check(memory, records.address, RECORDS + count * RECORD)?;
    let writer = Writer::again(operation, Handle::from_word(field(MAP)), field(HEAD) as Address)?;
    let mut taken_out = 0;
    for number in 0..count {
        let record = record_at(records.address, number);
        let load = |offset: Address| memory.load64(record.wrapping_add(offset));
        let place = load(CELL) as Address & !7;
        if place == 0 {
            continue;
        }
        if !memory.has(place, 8) {
            return corrupt(place);
        }
        let mine = joined(holder.index, sequence(decided), number);
        // What was taken out before may be anybody's by now.
        if memory.load64_ordered(place) != mine {
            continue;
        }
        writer.view.table.check_own(place)?;
        let entry = place.wrapping_sub(VALUE);
        let value = load(if to == SETTLED { NEW } else { OLD });
        if taken_out == most {
            return Ok(false);
        }
        taken_out += 1;
        if value::to_number(value).is_some() {
            // Not exchanged: another agent did.
            let _ = memory.compare_exchange64(place, mine, value);
        } else if let Some(order) = key::order_stored(writer.view.table, entry.wrapping_add(KEY))? {
            writer.delete(entry, order, mine, None)?;
        }
    }
    memory.store64(at, with_phase(decided, to));
    Ok(true)
}

/// Commits the loan, if there is one.
fn commit(operation: &Operation, holder: Holder, records: Address) -> Result<Wake> {
    let field = |offset: Address| operation.memory().load64(records.wrapping_add(offset));
    let pipe = field(PIPE);
    if pipe == 0 {
        return Ok(Wake::NONE);
    }
    let (loan, position, length) = (field(LOAN), field(POSITION), field(LENGTH) as u32);
    let lease = Lease { number: loan as u32, generation: (loan >> 32) as u32, position, length };
    match pipe::commit_of(operation, holder, Handle::from_word(pipe), lease) {
        // It is done, or the pipe is gone.
        Err(Error::LeaseLost { .. } | Error::StaleHandle { .. } | Error::WrongType { .. }) => Ok(Wake::NONE),
        done => done,
    }
}
