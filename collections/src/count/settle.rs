//! What recovery decides of a change of a count, and giving back all that an agent has.

use super::*;

/// Decides what the holder's record says about a count: a reference was taken or not; what was being given back is given
/// back. Idempotent; the holder does not run, but for this. Nothing when nothing was in flight.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn settle(operation: &Operation, holder: Holder) -> Result<()> {
    let memory = operation.memory();
    let target = memory.load64(field(holder, slot::TARGET));
    let Some(why) = Change::from_word(memory.load64(field(holder, slot::CHANGE))) else {
        end(memory, holder);
        return Ok(());
    };
    let handle = Handle::from_word(target & !OF_PARKED);
    if memory.load64(field(holder, slot::EDITING)) != 0 {
        // The holder stays at work in the list that it has edited. Of what it took out, and of its own region, the entry stays.
        let table = Table::of(operation);
        let entry = table.entry(handle.index).filter(|&entry| table.check_any(entry, handle).is_ok());
        let settled = match entry {
            Some(entry) => settle_held(operation, holder, why, entry, handle),
            None => holdings::remove(memory, holder, handle),
        };
        end(memory, holder);
        return settled;
    }
    // Of a holder that gave its reference back the object may have ended: then that has happened.
    let settled = match hold::hold_any(operation, handle) {
        Ok(entry) => {
            let settled = settle_held(operation, holder, why, entry, handle);
            let finished = hold::let_go(operation, handle);
            settled.and(finished)
        }
        Err(_) => holdings::remove(operation.memory(), holder, handle),
    };
    end(memory, holder);
    settled
}

pub(super) fn settle_held(
    operation: &Operation,
    holder: Holder,
    why: Change,
    entry: Address,
    handle: Handle,
) -> Result<()> {
    let memory = operation.memory();
    let sequence = memory.load64(field(holder, slot::COUNTING));
    let all = Counted { entry, handle, which: Which::All };
    let parked = Counted { entry, handle, which: Which::Parked };
    // Gives a reference back, unless that happened; then whoever comes first ends the object.
    let give = |sequence| {
        if happened(memory, holder, all, sequence) {
            Ok(all.load(memory).count())
        } else {
            change(memory, holder, all, false, sequence)
        }
    };
    match why {
        Change::Acquire if happened(memory, holder, all, sequence) => holdings::insert(memory, holder, handle),
        Change::Take if happened(memory, holder, parked, sequence) => holdings::insert(memory, holder, handle),
        Change::Park if happened(memory, holder, parked, sequence) => {
            holdings::remove(operation.memory(), holder, handle)
        }
        Change::Absorb if happened(memory, holder, parked, sequence) => absorbed(memory, holder, parked),
        Change::Acquire | Change::Take | Change::Park | Change::Absorb => Ok(()),
        Change::Release => released(operation, holder, all, give(sequence)).map(drop),
        Change::Unname if Info(memory.load64(entry.wrapping_add(INFO))).remover() == Some(holder.index) => {
            unnamed(operation, all, give(sequence)).map(drop)
        }
        // Not removed, or by another agent; and what is a map's or a structure's is not settled here.
        Change::Unname
        | Change::Claim
        | Change::Insert
        | Change::Delete
        | Change::Clear
        | Change::Nest
        | Change::Drop => Ok(()),
        Change::Absorbed => {
            let second = memory.load64(field(holder, slot::SECOND));
            if sequence == second && happened(memory, holder, all, second) {
                return Ok(());
            }
            drop_surplus(memory, holder, all, second)
        }
    }
}

/// Gives back the next reference that the holder has at a place not before `from`: the place to go on from, and who is
/// to be woken; `None` when there is none. One step, so that giving back many is many operations.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn give_back(operation: &Operation, holder: Holder, from: u32) -> Result<Option<(u32, Wake)>> {
    let Some((handle, next)) = holdings::next(operation.memory(), holder, from)? else { return Ok(None) };
    operation.note(Note { handle, purpose: Purpose::Releasing }.to_word());
    let wake = match release_of(operation, holder, handle) {
        Ok(wake) => wake,
        // It was nothing that could be given back; it is not held any more.
        Err(Error::StaleHandle { .. }) => Wake::NONE,
        Err(error) => return Err(error),
    };
    Ok(Some((next, wake)))
}

/// Gives back what the agent holds and leaves the heap. Never blocks; linear in its holdings and in the pages of the
/// heap.
///
/// # Errors
/// Those of [`coheap_alloc::Agent::detach`].
pub fn detach(agent: coheap_alloc::Agent, host: &impl Host) -> Result<()> {
    if agent.memory().own32(agent.slot().wrapping_add(slot::DEPTH)) != 0 {
        return Err(Error::busy(agent.index()));
    }
    let _ = give_some_back(agent, host, &mut 0, u32::MAX);
    agent.detach()
}

/// Gives back what the agent holds, but not more than `most` objects, from this place of its holdings on, which moves on;
/// whether that is all. What cannot be read is left to whoever has the slot next.
///
/// # Errors
/// Those of [`Host::enter`].
pub(crate) fn give_some_back(agent: coheap_alloc::Agent, host: &impl Host, from: &mut u32, most: u32) -> Result<bool> {
    for _ in 0..most {
        let entry = host.enter(agent)?;
        let given = agent.run(entry, |operation| give_back(operation, Holder::of(operation), *from));
        let Ok(Some((next, wake))) = given else {
            if let Ok(entry) = host.enter(agent) {
                // Not done is no harm: whoever has the slot next uses it.
                let _ = agent.run(entry, |operation| holdings::clear(operation, Holder::of(operation), *from));
            }
            return Ok(true);
        };
        *from = next;
        wake.notify(host);
    }
    Ok(false)
}
