//! Who runs this instance, and what it may do: the imports.

use coheap::wait::{Host, Slept};
#[cfg(not(feature = "embedded"))]
use coheap_alloc::arena::{AgentArena, CurrentAgent};
use coheap_alloc::{Address, Agent, Entry, Memory, Result, slot as slots};

#[cfg(feature = "embedded")]
use crate::embedded as import;

#[cfg(not(feature = "embedded"))]
mod import {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        /// The slot of this instance's agent, or 0. The post-link step makes it a read of the global `agent`.
        pub(super) safe fn agent() -> u32;
        /// Which of the slot's agents that is: likewise the global `incarnation`.
        pub(super) safe fn incarnation() -> u32;
        /// Sleeps while the word at `address` is `expected`, `timeout` milliseconds at most: 0 woken, 1 not equal,
        /// 2 timed out, 3 this agent must not block. Below 0: as long, but nothing else ends it.
        pub(super) safe fn wait(address: u32, expected: u32, timeout: f64) -> u32;
        /// Wakes at most `count` of those who sleep on the word at `address`.
        pub(super) safe fn notify(address: u32, count: u32) -> u32;
        /// Milliseconds since some moment; never goes back.
        pub(super) safe fn now() -> f64;
    }
}

/// The agent of this instance. Before it has a slot, only [`is_seated`] may be asked.
#[inline(always)]
pub(crate) fn agent() -> Agent {
    // SAFETY: I-14 the globals name the seat that this instance was given.
    unsafe { Agent::from_slot(Memory::linear(), import::agent(), import::incarnation()) }
}

/// As [`agent`], whoever has the slot now: before the instance knows its incarnation.
pub(crate) fn newcomer() -> Agent {
    let (memory, slot) = (Memory::linear(), import::agent());
    // SAFETY: I-14 this instance has claimed the slot and not given it back.
    unsafe { Agent::from_slot(memory, slot, slots::word(memory, slot).incarnation()) }
}

/// Whether this instance has a slot.
#[inline(always)]
pub(crate) fn is_seated() -> bool {
    import::agent() != 0
}

/// The imports `wait`, `notify` and `now`.
pub(crate) struct Imports;

impl Host for Imports {
    fn wait(&self, address: Address, expected: u32, timeout: f64) -> Slept {
        match import::wait(address, expected, timeout) {
            0 => Slept::Woken,
            1 => Slept::NotEqual,
            2 => Slept::TimedOut,
            _ => Slept::CannotBlock,
        }
    }

    fn now(&self) -> f64 {
        import::now()
    }

    fn enter(&self, agent: Agent) -> Result<Entry> {
        crate::call::enter(agent)
    }

    fn notify(&self, address: Address) {
        let _ = import::notify(address, u32::MAX);
    }
}

/// What `heap.wasm` has of its own, and a program brings.
#[cfg(not(feature = "embedded"))]
mod alone {
    use super::{Agent, AgentArena, CurrentAgent, agent, is_seated};

    /// For the private arena.
    struct Seated;

    // SAFETY: I-10, I-15 the one agent of this instance, in whose arena Rust code alone writes.
    unsafe impl CurrentAgent for Seated {
        fn current() -> Option<Agent> {
            is_seated().then(agent)
        }
    }

    #[global_allocator]
    static ARENA: AgentArena<Seated> = AgentArena::new();

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}
