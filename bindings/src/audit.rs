//! The audit and the figures.

use coheap::Objects;
use coheap::wait::Host;
use coheap_alloc::audit::References;
use coheap_alloc::layout::{body, control, slot};
use coheap_alloc::{Address, Agent, Block, Figures, Kind, Memory, Result, SlotWord, slot as slots};

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

/// Walks the heap; details: as [`coheap_figures`]; the transfer buffer: the live bytes in units of 16, as 4,096 words by
/// the slots of the blocks' makers, then by kind in pairs of words with the number of blocks. Errors: `CORRUPT` with the
/// rule and the place, `BUSY` when an agent is online or has broken the gate.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_audit_walk() -> Status {
    let agent = agent();
    let walked = agent.audit_walk(&mut Tally(agent.memory(), agent.transfer()));
    status(agent, walked.map(|figures| tell(agent, figures)))
}

/// Opens the gate and wakes who waits at it.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_audit_end() -> Status {
    agent().audit_end();
    Imports.notify(agent().control().wrapping_add(control::GATE));
    DONE
}

/// Details: bytes that are live and free; agents, agents in quarantine; live blocks; bytes reserved, bytes fragmented;
/// orphans, which only an audit counts. Others may be changing them meanwhile. Linear in the pages of the heap.
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

/// The references of the objects; adds up the blocks in the transfer buffer of the auditor, where an audit leaves room.
struct Tally(Memory, Address);

const UNIT: u64 = 16;
const BY_KIND: Address = slot::COUNT * 4;
const TALLIES: u32 = BY_KIND + 16 * 8;
const _: () = assert!(body::TRANSFER + TALLIES <= body::MARKS);

impl References for Tally {
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, memory: Memory, control: Address, seen: &mut F) -> Result<()> {
        Objects.visit(memory, control, seen)
    }

    fn begin(&mut self) {
        self.0.fill(self.1, TALLIES, 0);
    }

    fn count(&mut self, kind: Kind, maker: u32, bytes: u64) {
        let Self(memory, tallies) = *self;
        let units = bytes / UNIT;
        let by_maker = tallies.wrapping_add((maker % slot::COUNT).wrapping_mul(4));
        memory.set_own32(by_maker, memory.own32(by_maker).wrapping_add(units as u32));
        let by_kind = tallies.wrapping_add(BY_KIND).wrapping_add((kind as u32).wrapping_mul(8));
        memory.set_own64(by_kind, memory.own64(by_kind).wrapping_add(1 << 32 | units));
    }
}

fn tell(agent: Agent, figures: Figures) {
    let numbers = [
        figures.live_bytes as f64,
        figures.free_bytes as f64,
        f64::from(figures.agents),
        f64::from(figures.quarantined),
        figures.live_blocks as f64,
        figures.reserved_bytes as f64,
        figures.fragmented_bytes as f64,
        f64::from(figures.orphans),
    ];
    for (index, number) in (0..).zip(numbers) {
        detail(agent, index, number);
    }
}
