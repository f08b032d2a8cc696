//! From a call to an operation, and from its result to a status.

use coheap::Table;
use coheap::wait::{Host, Slept, Wake};
use coheap_alloc::layout::{control, slot};
use coheap_alloc::{Agent, Entry, Error, Operation, Result};

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

/// Begins an operation. An agent that may block waits for an audit, a second at most; any other ends it at once.
///
/// # Errors
/// [`Error::AgentLost`]; [`Error::Busy`] when audits follow each other too fast.
#[inline(always)]
pub(crate) fn enter(agent: Agent) -> Result<Entry> {
    match agent.enter() {
        Err(Error::Gate { gate }) => pass_gate(agent, gate),
        other => other,
    }
}

#[cold]
#[inline(never)]
fn pass_gate(agent: Agent, gate: u32) -> Result<Entry> {
    let at = agent.control().wrapping_add(control::GATE);
    let mut gate = gate;
    for slice in 0..SLICES * 2 {
        let waits = slice < SLICES && agent.may_block();
        // An even word is an open gate: its flag in the slot is about to go, or was left by an audit that died.
        if !waits || gate & 1 == 0 || Imports.wait(at, gate, SLICE) == Slept::CannotBlock {
            agent.break_gate();
        }
        match agent.enter() {
            Err(Error::Gate { gate: now }) => gate = now,
            other => return other,
        }
    }
    Err(Error::Busy { agent: agent.index() })
}

/// One operation that changes something; then wakes whom its answer names.
#[inline(always)]
pub(crate) fn change(f: impl FnOnce(Agent, &Operation) -> Result<Wake>) -> Status {
    let agent = seat::agent();
    let result = enter(agent).and_then(|entry| agent.run(entry, |operation| f(agent, operation)));
    match result {
        Ok(wake) => {
            wake.notify(&Imports);
            DONE
        }
        Err(error) => failed(agent, error),
    }
}

/// One operation that only reads shared words: it needs no record.
#[inline(always)]
pub(crate) fn read(f: impl FnOnce(Agent, Table) -> Result<()>) -> Status {
    let agent = seat::agent();
    let result = enter(agent).and_then(|entry| {
        let result = f(agent, table(agent));
        if entry == Entry::Precise {
            agent.leave();
        }
        result
    });
    status(agent, result)
}

/// As [`read`], for an answer of its own.
pub(crate) fn look<R>(f: impl FnOnce(Agent, Table) -> Result<R>) -> Result<R> {
    let agent = seat::agent();
    let entry = enter(agent)?;
    let result = f(agent, table(agent));
    if entry == Entry::Precise {
        agent.leave();
    }
    result
}

/// The object table of the agent's heap.
#[inline(always)]
pub(crate) fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

/// A whole number of bytes that came as a double, or `None`.
pub(crate) fn whole(number: f64) -> Option<u64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    // NaN is in no range; the conversion cuts the fraction off.
    if (0.0..=LIMIT).contains(&number) && (number as u64) as f64 == number { Some(number as u64) } else { None }
}
