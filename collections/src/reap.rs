//! Ending what the dead left, and giving back what they had: [`coheap_alloc::reap`] with the references of this crate.
//!
//! In slices, so that an agent that must not block can do it: [`reap_slice`] until it is over, then [`finish_slice`] in rounds. Until
//! what the dead was doing is decided its seat is online, as its agent was; afterwards nobody waits for the reaper between two slices: the
//! seat is offline, as that of an agent at rest. If the reaper dies between two, or in
//! one, the seat is left, and another goes on.

use coheap_alloc::Pages;
use coheap_alloc::layout::slot;
pub use coheap_alloc::reap::{Dead, Proof};
use coheap_alloc::{Agent, Entry, Error, Operation, Result};

pub use crate::claim::Round;
use crate::recovery::settle_some;
use crate::wait::Host;
use crate::{claim, count, rule};

/// Milliseconds after which a slice ends, and the objects that it gives back between two looks at the clock.
const SLICE: f64 = 0.5;
const OBJECTS: u32 = 64;
/// Keys of a transaction that are settled between two such looks.
const KEYS: u32 = 1024;
/// Looks at entries of the object table, and parts of structures, in one slice of a round.
const LOOKS: u32 = 8192;
const PARTS: u32 = 1024;

/// What was found in the seat of a dead agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Whether an operation was cut short, and has been ended or taken back.
    pub repaired: bool,
}

/// What a slice has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// As in [`Reaped`].
    pub repaired: bool,
    /// Whether the seat is free, or kept for its thread: no slice is left.
    pub is_over: bool,
    /// Whether it was kept before: all else had been given back.
    pub was_kept: bool,
}

/// Ends the operation that a dead agent was in, if it was, gives back every reference, lease and block that it had, and frees its seat, or
/// keeps it ([`Agent::keep`]) if its thread may still run; then finishes all that ended and was left to others. `None`: it
/// has left, or another agent is at it. Never blocks; linear in what is given back, in the objects and in the pages of the heap.
/// If the caller dies here, whoever comes next goes on: see [`coheap_alloc::reap::is_left`].
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`] when what it left makes no sense: the seat is nobody's then, for good.
///
/// # Safety
/// Those of [`Agent::take_over`]. The caller is outside any operation.
pub unsafe fn reap(agent: Agent, host: &impl Host, dead: Dead, proof: Proof) -> Result<Option<Reaped>> {
    let mut reaped = Reaped { repaired: false };
    let mut next = Some(dead);
    while let Some(dead) = next {
        // SAFETY: I-28 the caller vouches for the thread.
        let Some(slice) = (unsafe { reap_slice(agent, host, dead, proof) })? else { return Ok(None) };
        reaped.repaired |= slice.repaired;
        next = if slice.is_over { None } else { agent.unfinished() };
    }
    let (mut from, mut worked) = (0, false);
    loop {
        let round = finish_slice(agent, from)?;
        worked |= round.worked;
        from = round.next;
        if from == 0 && !core::mem::take(&mut worked) {
            return Ok(Some(reaped));
        }
    }
}

/// The first or the next slice of [`reap`]: about half a millisecond.
///
/// # Errors
/// As [`reap`].
///
/// # Safety
/// As [`reap`].
pub unsafe fn reap_slice(agent: Agent, host: &impl Host, dead: Dead, proof: Proof) -> Result<Option<Slice>> {
    // Online, as in an operation: nobody else can say meanwhile that this agent is fenced, and go on in that seat beside it.
    let entry = host.enter(agent)?;
    // Of an operation that is over: it would keep what the dead held from being finished.
    agent.memory().swap64(agent.slot().wrapping_add(slot::HOLD), 0);
    // SAFETY: I-28 the caller vouches for the thread, and this agent is online.
    let slice = unsafe { slice_online(agent, host, dead, proof) };
    if entry == Entry::Precise {
        agent.leave();
    }
    slice
}

/// # Safety
/// As [`reap`], and the caller is online.
unsafe fn slice_online(agent: Agent, host: &impl Host, dead: Dead, proof: Proof) -> Result<Option<Slice>> {
    // SAFETY: I-28 as the caller's.
    let Some(taken) = (unsafe { agent.take_over(dead, proof) }) else { return Ok(None) };
    let dead = taken.agent;
    let repaired = taken.is_new && dead.is_seated() && dead.was_inside();
    // This agent has the seat, and closed gates are opened for it: if it cannot enter, a word of the seat is damaged.
    let damaged = |error| match error {
        Error::AgentLost { .. } | Error::Busy { .. } => Error::corrupt(rule::HOLDINGS, dead.slot()),
        other => other,
    };
    let is_over = match end(dead, taken.proof, host).map_err(damaged) {
        Err(error @ Error::Corrupt { .. }) => {
            dead.quarantine();
            return Err(error);
        }
        done => done?,
    };
    Ok(Some(Slice { repaired, is_over, was_kept: taken.was_kept }))
}

/// Whether all is given back, and the seat with it.
fn end(dead: Agent, proof: Proof, host: &impl Host) -> Result<bool> {
    if !dead.is_found() {
        return Err(Error::agent_lost(dead.index()));
    }
    if !dead.is_seated() {
        dead.abandon();
        return Ok(true);
    }
    let begun = host.now();
    let is_late = || host.now() - begun > SLICE;
    let settle = |operation: &Operation, slot, note| settle_some(operation, slot, note, KEYS);
    while !dead.recover_some(Pages::Some, &settle)? {
        if is_late() {
            return Ok(false);
        }
    }
    let mut from = dead.memory().own32(dead.given());
    while !count::give_some_back(dead, host, &mut from, OBJECTS)? {
        // Only this far: whatever else the next slice finds is a holding still.
        dead.memory().set_own32(dead.given(), from);
        if is_late() {
            return Ok(false);
        }
    }
    let leave = || match proof {
        Proof::Ended => dead.detach_some(Pages::Some),
        Proof::Fenced => dead.keep_some(Pages::Some),
    };
    while !leave()? {
        if is_late() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Finishes what ended and was left to others, because the dead held it up or had not come so far: a bounded part of a round, from an
/// index of the object table on, 0 at first. Any number of agents may do it. Never blocks. If the caller dies here, nothing is lost.
///
/// # Errors
/// [`coheap_alloc::Error::AgentLost`].
pub fn finish_slice(agent: Agent, from: u32) -> Result<Round> {
    match agent.operation(|operation| claim::finish_some(operation, from, LOOKS, PARTS)) {
        // Another object's damage is not what the caller asks about.
        Err(Error::Corrupt { .. }) => Ok(Round { next: 0, worked: false }),
        done => done,
    }
}
