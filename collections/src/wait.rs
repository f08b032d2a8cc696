//! Waiting for a change of an object, and waking who waits.
//!
//! Each entry has a wait word: sequence 31 bits, and the lowest bit says that somebody may be waiting.
//!
//! * A waiter sets the bit by a read-modify-write, *then* looks at the value. It is still the old one: the waiter
//!   leaves its operation and waits on the word for the value it left there.
//! * A setter changes the value by a read-modify-write, *then* looks at the wait word. The bit is set: it raises the
//!   sequence and clears the bit with one compare-exchange, leaves its operation, and notifies.
//!
//! Each looks after it wrote, in the one order of all, so one of them sees the other. A setter whose compare-exchange
//! fails lost to another setter: that one wakes, and who set the bit again after it has seen this setter's value.
//!
//! Nobody waits inside an operation, and nobody waits for ever: a setter that dies between its exchange and its notify
//! costs its waiters one [`SLICE`], no more.

use coheap_alloc::{Address, Agent, Entry, Error, Memory, Result};

use crate::object;

/// Somebody may be waiting.
pub const WAITING: u32 = 1;

/// The longest single sleep, in milliseconds: then the value is looked at again.
pub const SLICE: f64 = 100.0;

/// Looks at the wait word before an agent goes to sleep: one or two microseconds.
pub const SPINS: u32 = 256;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// Notified.
    Woken,
    /// The word was not the expected one: no sleep at all.
    NotEqual,
    /// The time is over.
    TimedOut,
    /// This agent must not block.
    CannotBlock,
}

/// What puts an agent to sleep and wakes it: two imports in wasm, a condition variable natively, a checker's in tests.
pub trait Host {
    /// Sleeps while the u32 at `address` is `expected`, `timeout` milliseconds at most.
    fn wait(&self, address: Address, expected: u32, timeout: f64) -> Slept;
    /// Wakes all that sleep on `address`.
    fn notify(&self, address: Address);
    /// Milliseconds since some moment; never goes back.
    fn now(&self) -> f64;
    /// Begins an operation of a waiter that looks again. What to do at the gate of an audit is the host's to say; here
    /// nobody waits for an audit.
    ///
    /// # Errors
    /// Those of [`Agent::enter`], but for [`Error::Gate`].
    fn enter(&self, agent: Agent) -> Result<Entry> {
        loop {
            match agent.enter() {
                Err(Error::Gate { .. }) => agent.break_gate(),
                other => return other,
            }
        }
    }
}

/// Who is to be woken after the operation: a wait word, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "somebody may be waiting"]
pub struct Wake(Address);

impl Wake {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// This one, or the other if this is nobody: two changes of one object.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::NONE { other } else { self }
    }

    /// Wakes. To be called outside the operation. If the caller dies before: waiters look again within [`SLICE`].
    #[inline]
    pub fn notify(self, host: &impl Host) {
        if self.0 != 0 {
            host.notify(self.0);
        }
    }

    /// The wait word to notify, or 0.
    #[inline]
    #[must_use]
    pub fn address(self) -> Address {
        self.0
    }
}

/// What to sleep on: the word at `address` while it is `expected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The wait word.
    pub address: Address,
    /// What stands in it while nothing changed.
    pub expected: u32,
}

/// The waiter's half: announces the waiter in the entry's wait word. The caller looks at the value afterwards.
#[inline]
pub fn announce(memory: Memory, entry: Address) -> Watch {
    let address = entry.wrapping_add(object::WAIT);
    Watch { address, expected: memory.fetch_or32(address, WAITING) | WAITING }
}

/// Sleeps until the word of a watch is another, for `left` milliseconds at most, and for one [`SLICE`]. For an agent that
/// has left its operation; it leaves the turn, too. The caller looks at what it waits for again.
///
/// # Errors
/// [`Error::CannotBlock`] for an agent that must not, [`Error::Busy`] inside an operation.
pub fn sleep(agent: Agent, host: &impl Host, watch: Watch, left: f64) -> Result<()> {
    if !agent.may_block() {
        return Err(Error::cannot_block());
    }
    if !agent.turn_end() {
        return Err(Error::busy(agent.index()));
    }
    let changed = spin(agent.memory(), watch);
    if !changed && host.wait(watch.address, watch.expected, left.min(SLICE)) == Slept::CannotBlock {
        return Err(Error::cannot_block());
    }
    Ok(())
}

/// Looks at the wait word a few times; whether it changed. It is a word of the object table for ever, so that looking
/// needs no operation.
fn spin(memory: Memory, watch: Watch) -> bool {
    for _ in 0..SPINS {
        if memory.load32(watch.address) != watch.expected {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}

/// The setter's half, after the value was changed by a read-modify-write.
#[inline]
pub fn after_change(memory: Memory, entry: Address) -> Wake {
    let address = entry.wrapping_add(object::WAIT);
    let word = memory.load32_ordered(address);
    if word & WAITING == 0 { Wake::NONE } else { raise(memory, address, word) }
}

#[cold]
fn raise(memory: Memory, address: Address, word: u32) -> Wake {
    let next = word.wrapping_add(2) & !WAITING;
    if memory.compare_exchange32(address, word, next).is_ok() { Wake(address) } else { Wake::NONE }
}

/// A native host: condition variables, by address.
#[cfg(all(feature = "std", not(target_arch = "wasm32"), not(any(loom, shuttle))))]
pub mod native {
    extern crate std;

    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use super::{Address, Host, Memory, Slept};

    /// Sleeps and wakes the threads of this process that share a memory.
    #[derive(Debug)]
    pub struct Threads {
        memory: Memory,
        turn: Mutex<()>,
        woken: Condvar,
        begun: Instant,
    }

    impl Threads {
        /// Of the heap in `memory`. One for all threads.
        #[must_use]
        pub fn new(memory: Memory) -> Self {
            Self { memory, turn: Mutex::new(()), woken: Condvar::new(), begun: Instant::now() }
        }
    }

    impl Host for Threads {
        fn wait(&self, address: Address, expected: u32, timeout: f64) -> Slept {
            let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if self.memory.load32_ordered(address) != expected {
                return Slept::NotEqual;
            }
            let limit = Duration::try_from_secs_f64((timeout / 1000.0).max(0.0)).unwrap_or(Duration::MAX);
            let (_turn, late) = self.woken.wait_timeout(turn, limit).unwrap_or_else(PoisonError::into_inner);
            if late.timed_out() { Slept::TimedOut } else { Slept::Woken }
        }

        fn now(&self) -> f64 {
            self.begun.elapsed().as_secs_f64() * 1000.0
        }

        fn notify(&self, _address: Address) {
            // The lock makes a notify between a waiter's look and its sleep impossible.
            drop(self.turn.lock().unwrap_or_else(PoisonError::into_inner));
            self.woken.notify_all();
        }
    }
}

/// The host of a threaded WebAssembly program: JavaScript, by the imports that it hands in as the module `coheap`.
#[cfg(all(feature = "embedded", target_arch = "wasm32"))]
pub mod program {
    use super::{Address, Host, Slept};

    mod import {
        #[link(wasm_import_module = "coheap")]
        unsafe extern "C" {
            pub(super) safe fn wait(address: u32, expected: u32, timeout: f64) -> u32;
            pub(super) safe fn notify(address: u32, count: u32) -> u32;
            pub(super) safe fn now() -> f64;
        }
    }

    /// Sleeps where the thread may, and wakes threads and JavaScript's promises.
    #[derive(Clone, Copy, Debug)]
    pub struct Imports;

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

        fn notify(&self, address: Address) {
            let _ = import::notify(address, u32::MAX);
        }
    }
}
