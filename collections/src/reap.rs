//! Ending what the dead left, and giving back what they had: [`coheap_alloc::reap`] with the references of this crate.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Agent, Error, Result};

use crate::recovery::settle;
use crate::wait::Host;
use crate::{claim, count};

/// What was found in the seat of a dead agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Whether an operation was cut short, and has been ended or taken back.
    pub repaired: bool,
}

/// Ends the operation that the agent of this slot and incarnation died in, if it did, gives back every reference, lease and
/// block that it had, and frees its seat; then finishes all that ended and was left to others. `None`: it has left, or another agent is
/// at it. Never blocks; linear in what is given back, in the objects and in the pages of the heap. If the caller dies here, whoever comes next goes on: see [`coheap_alloc::reap::is_left`].
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`] when what it left makes no sense: the seat is nobody's then, for good.
///
/// # Safety
/// The agent's thread does not run any code of this heap and never will, or its seat is left. The caller is outside any
/// operation.
pub unsafe fn reap(agent: Agent, host: &impl Host, at: Address, incarnation: u32) -> Result<Option<Reaped>> {
    // SAFETY: I-28 the caller vouches for the thread.
    let Some(dead) = (unsafe { agent.take_over(at, incarnation) }) else { return Ok(None) };
    if !dead.is_seated() {
        dead.abandon();
        return Ok(Some(Reaped { repaired: false }));
    }
    let repaired = dead.was_inside();
    let done = dead.recover(&settle).and_then(|()| count::detach(dead, host));
    if done.is_err() {
        dead.quarantine();
    }
    done?;
    finish(agent)?;
    Ok(Some(Reaped { repaired }))
}

/// What ended and was left to others, because the dead held it up or had not come so far.
fn finish(agent: Agent) -> Result<()> {
    // Of an operation that is over.
    agent.memory().swap64(agent.slot().wrapping_add(slot::HOLD), 0);
    match agent.operation(claim::finish_all) {
        // Another object's damage is not what the caller asks about.
        Err(Error::Corrupt { .. }) => Ok(()),
        done => done,
    }
}
