//! Ending what workers left that have ended. A *life* is what ends at once with a thread: the nonce of the first token that
//! was attached with there.

use coheap::reap;
use coheap_alloc::layout::slot;
use coheap_alloc::reap::{condemn, left, of_life};
use coheap_alloc::{Error, slot as slots};

use crate::call::{Status, detail, failed, status};
use crate::seat::{Imports, agent};

fn long(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Details 0 and 1: the halves of the life of the agent that attached with this nonce; both 0 when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_life(nonce_low: u32, nonce_high: u32) -> Status {
    let agent = agent();
    let at = slots::with_nonce(agent.memory(), agent.control(), long(nonce_low, nonce_high), 0);
    let life = at.map_or(0, |at| agent.memory().load64(at.wrapping_add(slot::LIFE)));
    detail(agent, 0, f64::from(life as u32));
    detail(agent, 1, f64::from((life >> 32) as u32));
    0
}

/// No agent of a life begins another operation. Not this agent's own: `BUSY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_condemn(life_low: u32, life_high: u32) -> Status {
    let (agent, life) = (agent(), long(life_low, life_high));
    if life == own_life() {
        return status(agent, Err(Error::Busy { agent: agent.index() }));
    }
    let memory = agent.memory();
    let _ = slots::each(memory, agent.control(), |_, at| -> Option<()> {
        if memory.load64(at.wrapping_add(slot::LIFE)) == life && life != 0 {
            let _ = condemn(memory, at, slots::word(memory, at).incarnation());
        }
        None
    });
    0
}

fn own_life() -> u64 {
    let agent = agent();
    agent.memory().load64(agent.slot().wrapping_add(slot::LIFE))
}

/// Takes one seat of a life over whose thread has ended, as the caller vouches, or one that an agent left that had taken it over:
/// ends what its agent was doing and gives back what it had. 1, and detail 0: whether an operation was cut short; 0: there is no such
/// seat; or −status. Linear in what it held and in the pages of the heap. Errors: `BUSY` inside an operation, or for this agent's own
/// life; `CORRUPT`: that seat is nobody's from here on.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_reap(life_low: u32, life_high: u32) -> f64 {
    let (agent, life) = (agent(), long(life_low, life_high));
    let refused = |error| -f64::from(failed(agent, error));
    if agent.was_inside() || life == own_life() {
        return refused(Error::Busy { agent: agent.index() });
    }
    let (memory, control) = (agent.memory(), agent.control());
    let Some((at, incarnation)) = of_life(memory, control, life).or_else(|| left(memory, control)) else { return 0.0 };
    // SAFETY: I-28 the caller says that the thread has ended, or the seat is left; this agent is in no operation.
    match unsafe { reap::reap(agent, &Imports, at, incarnation) } {
        Ok(Some(reaped)) => {
            detail(agent, 0, f64::from(u8::from(reaped.repaired)));
            1.0
        }
        // Another agent is at it.
        Ok(None) => 0.0,
        Err(error) => refused(error),
    }
}
