//! The audit and the figures.

use coheap::Objects;
use coheap::wait::Host;
use coheap_alloc::layout::control;
use coheap_alloc::{Agent, Figures, SlotWord, slot as slots};

use crate::call::{DONE, Status, detail, status};
use crate::seat::{Imports, agent};

/// Closes the gate. Detail 0: how many other agents are still online, detail 1: the first of them. Then
/// [`coheap_audit_poll`] until it is 0, [`coheap_audit_walk`], and in any case [`coheap_audit_end`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_audit_begin() -> Status {
    let online = agent().audit_begin();
    report(agent(), online)
}

/// As the answer of [`coheap_audit_begin`], now.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_audit_poll() -> Status {
    report(agent(), agent().audit_online())
}

fn report(agent: Agent, online: u32) -> Status {
    let first = slots::each(agent.memory(), agent.control(), |index, at| {
        let is_online = slots::word(agent.memory(), at).has(SlotWord::ONLINE);
        (is_online && index != agent.index()).then_some(index)
    });
    detail(agent, 0, f64::from(online));
    detail(agent, 1, f64::from(first.unwrap_or(0)));
    DONE
}

/// Walks the heap; details: as [`coheap_figures`]. Errors: `CORRUPT` with the rule and the place, `BUSY` when an agent
/// is online or has broken the gate.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_audit_walk() -> Status {
    let agent = agent();
    let walked = agent.audit_walk(&mut Objects);
    status(agent, walked.map(|figures| tell(agent, figures)))
}

/// Opens the gate and wakes who waits at it.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_audit_end() -> Status {
    agent().audit_end();
    Imports.notify(agent().control().wrapping_add(control::GATE));
    DONE
}

/// Details: bytes that are live, free, in the memory; agents, agents in quarantine, slots; live blocks; bytes reserved.
/// Others may be changing them meanwhile. Linear in the pages of the heap.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_figures() -> Status {
    tell(agent(), agent().figures());
    DONE
}

/// Detail 0: the live bytes in a part of the pages, from one on, 0 at first, which takes some hundred microseconds at most. Where to go on,
/// 0 when those were the last ones. The sum of all parts counts.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_live(from: u32) -> u32 {
    let (bytes, next) = agent().live_bytes(from);
    detail(agent(), 0, bytes as f64);
    next.unwrap_or(0)
}

fn tell(agent: Agent, figures: Figures) {
    let mut slots = 0u32;
    slots::each(agent.memory(), agent.control(), |_, _| {
        slots += 1;
        None::<()>
    });
    let numbers = [
        figures.live_bytes as f64,
        figures.free_bytes as f64,
        figures.memory_bytes as f64,
        f64::from(figures.agents),
        f64::from(figures.quarantined),
        f64::from(slots),
        figures.live_blocks as f64,
        figures.reserved_bytes as f64,
    ];
    for (index, number) in (0..).zip(numbers) {
        detail(agent, index, number);
    }
}
