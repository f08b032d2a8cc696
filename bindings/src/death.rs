//! Ending what workers left that have ended. A *life* is what ends at once with a thread: the nonce of the first token that
//! was attached with there.

use coheap::reap::{self, Proof};
use coheap_alloc::layout::slot;
use coheap_alloc::reap::{condemn, left, left_from, lost, mark_locked, next_adopted, occupied, of_life_from};
use coheap_alloc::{Error, slot as slots};

use crate::call::{Status, detail, failed, status};
use crate::seat::{Imports, agent};

fn long(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Details 0 and 1: the halves of a long number.
fn answer(number: u64) {
    detail(agent(), 0, f64::from(number as u32));
    detail(agent(), 1, f64::from((number >> 32) as u32));
}

/// Details 0 and 1: the halves of the life of the agent that attached with this nonce; both 0 when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_life(nonce_low: u32, nonce_high: u32) -> Status {
    let agent = agent();
    let at = slots::with_nonce(agent.memory(), agent.control(), long(nonce_low, nonce_high), 0);
    answer(at.map_or(0, |at| slots::life(agent.memory(), at)));
    0
}

/// The first seat from the index `from` on that an agent has: its index plus one, or 0. Details 0 and 1: its life; 2: whether its thread was
/// seen to hold the lock of that life; 3: whether it is kept for its thread, and all else is given back.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_occupied(from: u32) -> u32 {
    let agent = agent();
    let Some(seat) = occupied(agent.memory(), agent.control(), from) else { return 0 };
    answer(seat.life);
    detail(agent, 2, f64::from(u8::from(seat.is_locked)));
    detail(agent, 3, f64::from(u8::from(seat.is_kept)));
    seat.index + 1
}

/// Whether the agent that attached with this nonce was reaped: the index of its seat plus one, or 0, also when another agent of that seat was reaped
/// since. Detail 0: whether the seat is kept for its thread.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_lost(nonce_low: u32, nonce_high: u32) -> u32 {
    let agent = agent();
    let found = lost(agent.memory(), agent.control(), long(nonce_low, nonce_high));
    found.map_or(0, |(index, is_kept)| {
        detail(agent, 0, f64::from(u8::from(is_kept)));
        index + 1
    })
}

/// Whether there is a seat that anybody may reap: its agent is condemned and in no operation, or its reaper is gone.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_left() -> u32 {
    u32::from(left(agent().memory(), agent().control()).is_some())
}

/// The thread of this life was seen to hold the platform's lock of it.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_locked(life_low: u32, life_high: u32) {
    mark_locked(agent().memory(), agent().control(), long(life_low, life_high));
}

/// No agent of a life begins another operation. Not this agent's own: `BUSY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_condemn(life_low: u32, life_high: u32) -> Status {
    let (agent, life) = (agent(), long(life_low, life_high));
    if life == own_life() {
        return status(agent, Err(Error::busy(agent.index())));
    }
    let memory = agent.memory();
    let _ = slots::each(memory, agent.control(), |_, at| -> Option<()> {
        // Before its life: by then the slot may be another's.
        let incarnation = slots::word(memory, at).incarnation();
        if slots::life(memory, at) == life && life != 0 {
            let _ = condemn(memory, at, incarnation);
        }
        None
    });
    0
}

/// This instance broke in the middle of a call, and nothing runs in its agent's name any more: whoever reaps next ends what it left. Answers
/// the agent's index.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_surrender() -> u32 {
    agent().surrender();
    agent().index()
}

/// Notes the life of a worker that cannot outlive this thread, or, if `is_here` is 0, forgets it. Of more than 64 at a time the others are
/// not noted.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_adopt(life_low: u32, life_high: u32, is_here: u32) {
    let life = long(life_low, life_high);
    agent().disown_worker(life);
    if is_here != 0 {
        let _ = agent().adopt_worker(life);
    }
}

/// The next of the workers that cannot outlive a life, from `from` on, 0 at first: where to go on, or 0. Details 0 and 1: its life.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_adopted(life_low: u32, life_high: u32, from: u32) -> u32 {
    let agent = agent();
    let next = next_adopted(agent.memory(), agent.control(), long(life_low, life_high), from);
    next.map_or(0, |(from, child)| {
        answer(child);
        from
    })
}

fn own_life() -> u64 {
    let agent = agent();
    slots::life(agent.memory(), agent.slot())
}

/// Ends what one seat's last agent was doing and gives back what it had, for half a millisecond: a seat that this agent has begun
/// with; one of this life, whose thread has ended, as the caller vouches if `is_ended`, or whose agent is condemned and offline;
/// or, if the life is 0, any of the latter and any that is left. 2 when there is more to do in that seat, 1 when it is done, 0 when there is no such seat, or −status.
/// Detail 0: whether an operation was cut short; 1: whether the seat was kept before; 2: its index. Errors: `BUSY` inside an operation, or for this agent's own life; `CORRUPT`: that seat
/// is nobody's from here on.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_reap(life_low: u32, life_high: u32, is_ended: u32) -> f64 {
    let (agent, life) = (agent(), long(life_low, life_high));
    let refused = |error| -f64::from(failed(agent, error));
    if agent.was_inside() || life == own_life() {
        return refused(Error::busy(agent.index()));
    }
    let (memory, control) = (agent.memory(), agent.control());
    let proof = if is_ended == 0 { Proof::Fenced } else { Proof::Ended };
    let (mut from, mut refused_by) = (0, None);
    loop {
        let meant = of_life_from(memory, control, life, proof, from).map(|dead| (dead, proof));
        let left = || left_from(memory, control, from).filter(|_| life == 0).map(|dead| (dead, Proof::Fenced));
        let begun = agent.unfinished().map(|dead| (dead, Proof::Fenced));
        let Some((dead, proof)) = begun.or(meant).or_else(left) else { return 0.0 };
        let index = memory.load32(dead.slot.wrapping_add(slot::INDEX));
        // SAFETY: I-28 the caller says that the thread has ended, or the seat is fenced or left; this agent is in no operation.
        match unsafe { reap::reap_slice(agent, &Imports, dead, proof) } {
            Ok(Some(slice)) => {
                detail(agent, 0, f64::from(u8::from(slice.repaired)));
                detail(agent, 1, f64::from(u8::from(slice.was_kept)));
                detail(agent, 2, f64::from(index));
                return if slice.is_over { 1.0 } else { 2.0 };
            }
            // Another agent is at it, and is to know of the proof: if it came just now, the seat's incarnation is the next one.
            Ok(None) if refused_by != Some(dead) => refused_by = Some(dead),
            // It knows: the next seat. Who died while it attached may not have said which one it has.
            Ok(None) => from = index.max(from).saturating_add(1),
            Err(error) => return refused(error),
        }
    }
}

/// Finishes what ended and was left to others, a bounded part of a round, from an index of the object table on, 0 at first. Detail 0:
/// where to go on, 0 when the round is over; 1: whether anything was done. A round in which nothing was is the last.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_finish(from: u32) -> Status {
    let agent = agent();
    let round = reap::finish_slice(agent, from).map(|round| {
        detail(agent, 0, f64::from(round.next));
        detail(agent, 1, f64::from(u8::from(round.worked)));
    });
    status(agent, round)
}
