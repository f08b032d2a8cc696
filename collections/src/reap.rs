//! Ending what the dead left, and giving back what they had: [`coheap_alloc::reap`] with the references of this crate.

use coheap_alloc::{Address, Agent, Result};

use crate::count;
use crate::recovery::settle;
use crate::wait::Host;

/// What was found in the seat of a dead agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Whether an operation was cut short, and has been ended or taken back.
    pub repaired: bool,
}

/// Ends the operation that the agent of this slot and incarnation died in, if it did, gives back every reference, lease and
/// block that it had, and frees its seat. `None`: it has left, or another agent is at it. Never blocks; linear in what it held and in
/// the pages of the heap. If the caller dies here, whoever comes next goes on: see [`coheap_alloc::reap::is_left`].
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`] when what it left makes no sense: the seat is nobody's then, for good.
///
/// # Safety
/// The agent's thread does not run any code of this heap and never will, or its seat is left. The caller is outside any
/// operation.
pub unsafe fn reap(agent: Agent, host: &impl Host, slot: Address, incarnation: u32) -> Result<Option<Reaped>> {
    // SAFETY: I-28 the caller vouches for the thread.
    let Some(dead) = (unsafe { agent.take_over(slot, incarnation) }) else { return Ok(None) };
    if !dead.is_seated() {
        dead.abandon();
        return Ok(Some(Reaped { repaired: false }));
    }
    let repaired = dead.was_inside();
    let done = dead.recover(&settle).and_then(|()| count::detach(dead, host));
    if done.is_err() {
        dead.quarantine();
    }
    done.map(|()| Some(Reaped { repaired }))
}
