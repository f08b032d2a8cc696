//! Who runs this instance, and what it may do: the three imports.

use coheap::wait::{Host, Slept};
use coheap_alloc::arena::{AgentArena, CurrentAgent};
use coheap_alloc::{Address, Agent, Memory};

mod import {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        /// The slot of this instance's agent, or 0. The post-link step makes it a read of the global `agent`.
        pub(super) safe fn agent() -> u32;
        /// Sleeps while the word at `address` is `expected`, `timeout` milliseconds at most: 0 woken, 1 not equal,
        /// 2 timed out, 3 this agent must not block.
        pub(super) safe fn wait(address: u32, expected: u32, timeout: f64) -> u32;
        /// Wakes at most `count` of those who sleep on the word at `address`.
        pub(super) safe fn notify(address: u32, count: u32) -> u32;
    }
}

/// The agent of this instance. Before it has a slot, only [`is_seated`] may be asked.
#[inline(always)]
pub(crate) fn agent() -> Agent {
    // SAFETY: I-14 the global names the slot that this instance attached with, and 0 once it has left.
    unsafe { Agent::from_slot(Memory::linear(), import::agent()) }
}

/// Whether this instance has a slot.
#[inline(always)]
pub(crate) fn is_seated() -> bool {
    import::agent() != 0
}

/// The imports `wait` and `notify`.
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

    fn notify(&self, address: Address) {
        let _ = import::notify(address, u32::MAX);
    }
}

/// For the private arena.
struct Seated;

impl CurrentAgent for Seated {
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
