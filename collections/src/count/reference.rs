//! An agent's references: taken, given back, parked; and the directory's.

use super::*;

/// Takes a reference of this agent to the object of a handle, or a parked one if there is one, and answers the object's
/// type. An agent that has a reference keeps the one. With `kind`, an object of another type is refused.
///
/// If the caller dies before the operation ends, it has no reference, or gives it back.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::TooManyReferences`], [`Error::OutOfMemory`].
pub fn acquire(operation: &Operation, handle: Handle, kind: Option<Type>) -> Result<Type> {
    let table = Table::of(operation);
    let (memory, holder) = (table.memory, Holder::of(operation));
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let word = table.check_any(entry, handle)?;
    let found = u32::from(word.kind());
    let Some(found) = Type::from_tag(found).filter(|&found| kind.is_none_or(|kind| kind == found)) else {
        return Err(Error::wrong_type(kind.map_or(0, |kind| kind as u32), found));
    };
    let parked = Counted { entry, handle, which: Which::Parked };
    if holdings::holds(memory, holder, handle)? {
        if parked.load(memory).count() != 0 {
            operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
            absorb(memory, holder, parked)?;
        }
        return Ok(found);
    }
    holdings::reserve(operation)?;
    hold::hold_any(operation, handle)?;
    let taken = take(operation, holder, entry, handle);
    hold::let_go(operation, handle)?;
    taken.map(|()| found)
}

/// As [`acquire`], after [`holdings::reserve`], of an object of which a structure has a reference that cannot go meanwhile: so its
/// entry needs no hold.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::TooManyReferences`].
pub(crate) fn acquire_kept(operation: &Operation, handle: Handle) -> Result<()> {
    let (table, holder) = (Table::of(operation), Holder::of(operation));
    if holdings::holds(table.memory, holder, handle)? {
        return Ok(());
    }
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    take(operation, holder, entry, handle)
}

/// A reference to the object of `handle` in `entry`, which is held, becomes this agent's.
pub(super) fn take(operation: &Operation, holder: Holder, entry: Address, handle: Handle) -> Result<()> {
    let memory = operation.memory();
    let parked = Counted { entry, handle, which: Which::Parked };
    if parked.load(memory).count() != 0 {
        operation.note(Note { handle, purpose: Purpose::Taking }.to_word());
        let sequence = begin(memory, holder, parked, Change::Take);
        let taken = change(memory, holder, parked, false, sequence).map(|_| holdings::insert(memory, holder, handle));
        end(memory, holder);
        if let Ok(held) = taken {
            return held;
        }
        // Somebody else took it.
    }
    operation.note(Note { handle, purpose: Purpose::Acquiring }.to_word());
    let all = Counted { entry, handle, which: Which::All };
    let sequence = begin(memory, holder, all, Change::Acquire);
    let taken = change(memory, holder, all, true, sequence)
        .map_err(no_object(handle))
        .and_then(|_| holdings::insert(memory, holder, handle));
    end(memory, holder);
    taken
}

/// A parked reference is taken by a holder that has one already, so that there is one too many.
pub(super) fn absorb(memory: Memory, holder: Holder, parked: Counted) -> Result<()> {
    let sequence = begin(memory, holder, parked, Change::Absorb);
    let taken = change(memory, holder, parked, false, sequence).is_ok();
    if taken {
        return absorbed(memory, holder, parked);
    }
    end(memory, holder);
    Ok(())
}

/// The second half, from the parked reference that is nobody's now.
pub(super) fn absorbed(memory: Memory, holder: Holder, parked: Counted) -> Result<()> {
    let all = Counted { which: Which::All, ..parked };
    let sequence = draw(memory, holder, all);
    memory.store64(field(holder, slot::SECOND), sequence);
    // The commit: from here on recovery does the second change.
    memory.store64(field(holder, slot::CHANGE), Change::Absorbed as u64);
    drop_surplus(memory, holder, all, sequence)
}

pub(super) fn drop_surplus(memory: Memory, holder: Holder, all: Counted, sequence: u64) -> Result<()> {
    memory.store64(field(holder, slot::COUNTING), 0);
    memory.store64(field(holder, slot::TARGET), all.target());
    memory.store64(field(holder, slot::COUNTING), sequence);
    // The holder's own reference stays, so the count does not become 0.
    let dropped = change(memory, holder, all, false, sequence);
    end(memory, holder);
    dropped.map(drop).map_err(no_object(all.handle))
}

/// Gives this agent's reference back; with the last one the object ends. Never blocks; works when memory is exhausted.
///
/// What the answer names is to be notified after the operation. If the caller dies here: recovery gives it back.
///
/// # Errors
/// [`Error::StaleHandle`], also when the agent has no reference; [`Error::WrongType`].
pub fn release(operation: &Operation, handle: Handle, kind: Type) -> Result<Wake> {
    let table = Table::of(operation);
    table.find(handle, kind)?;
    release_any(operation, handle)
}

/// As [`release`], whatever the object's type.
///
/// # Errors
/// [`Error::StaleHandle`], also when the agent has no reference.
pub fn release_any(operation: &Operation, handle: Handle) -> Result<Wake> {
    let holder = Holder::of(operation);
    if !holdings::holds(operation.memory(), holder, handle)? {
        return Err(handle.stale());
    }
    operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
    release_of(operation, holder, handle)
}

/// Gives a holder's reference back, which it has.
pub(crate) fn release_of(operation: &Operation, holder: Holder, handle: Handle) -> Result<Wake> {
    let table = Table::of(operation);
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale());
    let entry = match entry.and_then(|entry| table.check_any(entry, handle).map(|_| entry)) {
        Ok(entry) => entry,
        Err(error) => {
            // An object that was taken back, although somebody guessed its handle.
            holdings::remove(operation.memory(), holder, handle)?;
            return Err(error);
        }
    };
    // Before the count, which may be the last.
    let woken = return_loans(operation, holder, handle, table.word(entry))?;
    let all = Counted { entry, handle, which: Which::All };
    let sequence = begin(table.memory, holder, all, Change::Release);
    let left = change(table.memory, holder, all, false, sequence);
    released(operation, holder, all, left).map(|wake| wake.or(woken))
}

/// What the holder has on loan of a pipe goes back with its reference.
fn return_loans(operation: &Operation, holder: Holder, handle: Handle, word: EntryWord) -> Result<Wake> {
    if word.kind() == Type::Pipe as u8 { pipe::return_all(operation, holder, handle) } else { Ok(Wake::NONE) }
}

/// What follows when the reference is not counted any more.
pub(super) fn released(
    operation: &Operation,
    holder: Holder,
    all: Counted,
    left: Result<u32, Refused>,
) -> Result<Wake> {
    // First: what ends may be a map, and to take that apart changes other counts.
    let removed = holdings::remove(operation.memory(), holder, all.handle);
    let ended = if matches!(left, Ok(0)) { claim::end(operation, all.handle) } else { Ok(Wake::NONE) };
    end(operation.memory(), holder);
    left.map_err(no_object(all.handle))?;
    removed?;
    ended
}

/// Makes this agent's reference one of nobody: who opens the object next has it. The object stays until then.
///
/// If the caller dies here, the agent has the reference, or nobody.
///
/// # Errors
/// [`Error::StaleHandle`], also when the agent has no reference; [`Error::TooManyReferences`].
pub fn park(operation: &Operation, handle: Handle) -> Result<()> {
    let holder = Holder::of(operation);
    if !holdings::holds(operation.memory(), holder, handle)? {
        return Err(handle.stale());
    }
    operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
    park_of(operation, holder, handle)
}

/// Parks a holder's reference, which it has.
pub(crate) fn park_of(operation: &Operation, holder: Holder, handle: Handle) -> Result<()> {
    let table = Table::of(operation);
    let memory = table.memory;
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let word = table.check_any(entry, handle)?;
    // Who waits for these bytes looks again by itself, see [`crate::wait::SLICE`].
    let _ = return_loans(operation, holder, handle, word)?;
    let parked = Counted { entry, handle, which: Which::Parked };
    let sequence = begin(memory, holder, parked, Change::Park);
    let done = change(memory, holder, parked, true, sequence)
        .map_err(no_object(handle))
        .and_then(|_| holdings::remove(memory, holder, handle));
    end(memory, holder);
    done
}

/// Takes its name from an object, and the directory's reference with it; `None` when it has no name (any more). Works
/// when memory is exhausted.
///
/// # Errors
/// [`Error::StaleHandle`].
pub(crate) fn unname(operation: &Operation, handle: Handle) -> Result<Option<Wake>> {
    let table = Table::of(operation);
    let (memory, holder) = (table.memory, Holder::of(operation));
    let entry = hold::hold_any(operation, handle)?;
    let at = entry.wrapping_add(INFO);
    let info = Info(memory.load64(at));
    let mut done = Ok(None);
    if info.bucket().is_some() {
        operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
        let all = Counted { entry, handle, which: Which::All };
        let sequence = begin(memory, holder, all, Change::Unname);
        if memory.compare_exchange64(at, info.0, info.removed(holder.index).0).is_ok() {
            let left = change(memory, holder, all, false, sequence);
            done = unnamed(operation, all, left).map(Some);
        }
        end(memory, holder);
    }
    hold::let_go(operation, handle)?;
    done
}

#[inline(never)]
pub(super) fn unnamed(operation: &Operation, all: Counted, left: Result<u32, Refused>) -> Result<Wake> {
    match left {
        Ok(0) => claim::end(operation, all.handle),
        Ok(_) => Ok(Wake::NONE),
        Err(_) => Err(Error::corrupt(rule::COUNT, all.entry)),
    }
}
