//! From a call to an operation, and from its result to a status.

use coheap::Table;
use coheap::wait::{Host, Slept, Wake};
use coheap_alloc::layout::{control, slot};
use coheap_alloc::{Agent, Entry, Error, Operation, Result, slot as slots};

use crate::seat::{self, Imports};

/// 0, or the number of an error.
pub(crate) type Status = u32;

/// Success.
pub(crate) const DONE: Status = 0;

/// How long an agent that may block waits for an audit at most: so many slices of so many milliseconds.
const SLICES: u32 = 20;
const SLICE: f64 = 50.0;

/// Writes the i-th detail: a number of the answer.
#[inline(always)]
pub(crate) fn detail(agent: Agent, index: u32, number: f64) {
    let at = agent.slot().wrapping_add(slot::DETAILS).wrapping_add(index * 8);
    agent.memory().set_own64(at, number.to_bits());
}

/// The status of a result; an error leaves its details.
#[inline(always)]
pub(crate) fn status(agent: Agent, result: Result<()>) -> Status {
    match result {
        Ok(()) => DONE,
        Err(error) => failed(agent, error),
    }
}

#[cold]
#[inline(never)]
pub(crate) fn failed(agent: Agent, error: Error) -> Status {
    if agent.slot() != 0 {
        let [first, second, third] = error.details();
        detail(agent, 0, first);
        detail(agent, 1, second);
        detail(agent, 2, third);
    }
    error.code()
}

/// Begins an operation. An agent that may block waits for another thread's audit, a second at most; any other ends it at once.
///
/// # Errors
/// [`Error::AgentLost`]; [`Error::Busy`] when audits follow each other too fast.
#[inline]
pub(crate) fn enter(agent: Agent) -> Result<Entry> {
    match agent.enter() {
        Err(error @ Error::Gate { .. }) => pass_gate(agent, error),
        other => other,
    }
}

#[cold]
#[inline(never)]
fn pass_gate(agent: Agent, refused: Error) -> Result<Entry> {
    let at = agent.control().wrapping_add(control::GATE);
    let word = |refused: Error| refused.details()[0] as u32;
    let mut gate = word(refused);
    let life = slots::life(agent.memory(), agent.slot());
    let auditor = agent.memory().load64(agent.control().wrapping_add(control::AUDITOR));
    // An audit of this thread would not go on while it waits.
    let may_wait = agent.may_block() && (life == 0 || life != auditor);
    for slice in 0..SLICES * 2 {
        let waits = slice < SLICES && may_wait;
        // A time below 0 is as long as one above, but a lost worker does not end the wait: it is no wait of the user's.
        // An even word is an open gate: its flag in the slot is about to go, or was left by an audit that died.
        if !waits || gate & 1 == 0 || Imports.wait(at, gate, -SLICE) == Slept::CannotBlock {
            agent.break_gate();
        }
        match agent.enter() {
            Err(error @ Error::Gate { .. }) => gate = word(error),
            other => return other,
        }
    }
    Err(Error::busy(agent.index()))
}

/// As [`enter`], out of line and in one number: [`STICKY`], [`PRECISE`], or more by the status of what refused it.
#[inline(never)]
fn begin(agent: Agent) -> u32 {
    if agent.is_online() { STICKY } else { begin_offline(agent) }
}

#[cold]
#[inline(never)]
fn begin_offline(agent: Agent) -> u32 {
    match enter(agent) {
        Ok(Entry::Online) => STICKY,
        Ok(Entry::Precise) => PRECISE,
        Err(error) => failed(agent, error).wrapping_add(REFUSED),
    }
}

const STICKY: u32 = 0;
const PRECISE: u32 = 1;
const REFUSED: u32 = 2;

#[cold]
#[inline(never)]
fn leave(agent: Agent) {
    agent.leave();
}

/// One operation that changes something, for an answer of its own. An error has left its details.
#[inline(always)]
pub(crate) fn altered<R>(f: impl FnOnce(Agent, &Operation) -> Result<R>) -> Result<R, Status> {
    let agent = seat::agent();
    let entry = match begin(agent) {
        STICKY => Entry::Online,
        PRECISE => Entry::Precise,
        refused => return Err(refused - REFUSED),
    };
    // Inside the operation: what ends it may refuse something itself.
    agent.run(entry, |operation| f(agent, operation).map_err(|error| failed(agent, error)))
}

/// As [`altered`]; then wakes whom its answer names.
#[inline(always)]
pub(crate) fn change(f: impl FnOnce(Agent, &Operation) -> Result<Wake>) -> Status {
    match altered(f) {
        Ok(wake) => {
            wake.notify(&Imports);
            DONE
        }
        Err(status) => status,
    }
}

/// One operation that only reads shared words, for an answer of its own: it needs no record. An error has left its details.
#[inline(always)]
pub(crate) fn look<R>(f: impl FnOnce(Agent, Table) -> Result<R>) -> Result<R, Status> {
    let agent = seat::agent();
    let entry = begin(agent);
    if entry >= REFUSED {
        return Err(entry - REFUSED);
    }
    let result = f(agent, table(agent)).map_err(|error| failed(agent, error));
    if entry == PRECISE {
        leave(agent);
    }
    result
}

/// As [`look`], for a status.
#[inline(always)]
pub(crate) fn read(f: impl FnOnce(Agent, Table) -> Result<()>) -> Status {
    look(f).err().unwrap_or(DONE)
}

/// The object table of the agent's heap.
#[inline(always)]
pub(crate) fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

/// A whole number of bytes that came as a double, or `None`.
pub(crate) fn whole(number: f64) -> Option<u64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    // NaN is in no range; the conversion cuts the fraction off. With a sign: without one it is ten instructions.
    let whole = number as i64;
    if (0.0..=LIMIT).contains(&number) && whole as f64 == number { Some(whole as u64) } else { None }
}
