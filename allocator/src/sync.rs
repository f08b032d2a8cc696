//! Every write to shared bytes, plain ones too, and the one place that names atomics.
//!
//! A [`Memory`] resolves an [`Address`] and a width to an atomic word: over linear memory on wasm32, over an
//! ordinary mapping natively, over a table of the checker's own atomics under loom and shuttle. No struct is ever
//! laid over the bytes, so the same functions run in all four.
//!
//! Each word has one width for ever. Three ways to touch it:
//!
//! * *shared word* (`load64`, `compare_exchange64`, …): any agent writes it. Loads acquire, stores release,
//!   read-modify-writes do both, unless a name says otherwise.
//! * *owner word* (`own64`, `set_own64`, …): one agent writes it. Volatile on wasm, where LLVM would merge or delete
//!   plain intent stores; relaxed atomic elsewhere.
//! * *bytes* (`copy_out`, `copy_in`, …): payload. `copy_out` tolerates a concurrent writer; the caller validates
//!   what it read afterwards.
//!
//! Under the feature `fault-points` each write first passes `fault::point`, which counts it and may end the agent.
#![allow(clippy::disallowed_types, reason = "the one place that touches shared bytes")]

#[cfg(any(loom, shuttle))]
mod checked;
#[cfg(all(feature = "fault-points", not(any(loom, shuttle))))]
pub mod fault;
#[cfg(all(target_arch = "wasm32", not(any(loom, shuttle))))]
mod linear;
#[cfg(all(not(target_arch = "wasm32"), not(any(loom, shuttle))))]
mod mapped;
#[cfg(feature = "controls")]
pub mod switch;

#[cfg(any(loom, shuttle))]
pub use checked::Memory;
#[cfg(all(target_arch = "wasm32", not(any(loom, shuttle))))]
pub use linear::Memory;
#[cfg(all(not(target_arch = "wasm32"), not(any(loom, shuttle))))]
pub use mapped::Memory;

#[cfg(not(any(loom, shuttle)))]
use core::sync::atomic as atomics;
#[cfg(loom)]
use loom::sync::atomic as atomics;
#[cfg(shuttle)]
use shuttle::sync::atomic as atomics;

#[cfg(not(all(target_arch = "wasm32", not(any(loom, shuttle)))))]
use atomics::Ordering::Relaxed;
use atomics::Ordering::{AcqRel, Acquire, Release, SeqCst};

/// A byte offset in the one memory. Zero names nothing.
pub type Address = u32;

/// Bytes of a WebAssembly page.
pub const PAGE: u32 = 65_536;

#[cfg(all(feature = "fault-points", not(any(loom, shuttle))))]
use fault::{load, point};
#[cfg(not(all(feature = "fault-points", not(any(loom, shuttle)))))]
#[inline(always)]
fn point() {}
#[cfg(not(all(feature = "fault-points", not(any(loom, shuttle)))))]
#[inline(always)]
fn load() {}

macro_rules! words {
    ($word:ident, $type:ty, $constant:ident, $own:ident, $set_own:ident, $load:ident, $store:ident, $swap:ident, $compare_exchange:ident,
     $or:ident, $and:ident, $add:ident) => {
        impl Memory {
            /// Reads a word that does not change during the caller's operation: the compiler may keep it.
            #[inline(always)]
            #[must_use]
            pub fn $constant(self, at: Address) -> $type {
                load();
                #[cfg(all(target_arch = "wasm32", not(any(loom, shuttle))))]
                {
                    self.read_constant::<$type>(at)
                }
                #[cfg(not(all(target_arch = "wasm32", not(any(loom, shuttle)))))]
                {
                    self.$word(at).load(Relaxed)
                }
            }
            /// Reads a word that only the caller writes, or whose value is checked before it is used.
            #[inline(always)]
            #[must_use]
            pub fn $own(self, at: Address) -> $type {
                load();
                #[cfg(all(target_arch = "wasm32", not(any(loom, shuttle))))]
                {
                    self.read_volatile::<$type>(at)
                }
                #[cfg(not(all(target_arch = "wasm32", not(any(loom, shuttle)))))]
                {
                    self.$word(at).load(Relaxed)
                }
            }
            /// Writes a word that only the caller writes: a plain store that is neither merged nor removed.
            #[inline(always)]
            pub fn $set_own(self, at: Address, value: $type) {
                point();
                #[cfg(all(target_arch = "wasm32", not(any(loom, shuttle))))]
                {
                    self.write_volatile::<$type>(at, value);
                }
                #[cfg(not(all(target_arch = "wasm32", not(any(loom, shuttle)))))]
                {
                    self.$word(at).store(value, Relaxed);
                }
            }
            /// Loads a shared word (acquire).
            #[inline(always)]
            #[must_use]
            pub fn $load(self, at: Address) -> $type {
                load();
                self.$word(at).load(Acquire)
            }
            /// Stores a shared word (release).
            #[inline(always)]
            pub fn $store(self, at: Address, value: $type) {
                point();
                self.$word(at).store(value, Release);
            }
            /// Swaps a shared word (sequentially consistent: it may be followed by a load that must come after it).
            #[inline(always)]
            pub fn $swap(self, at: Address, value: $type) -> $type {
                point();
                self.$word(at).swap(value, SeqCst)
            }
            /// Compare-and-exchange of a shared word (sequentially consistent on success).
            ///
            /// # Errors
            /// The value found, when it is not `old`.
            #[inline(always)]
            pub fn $compare_exchange(self, at: Address, old: $type, new: $type) -> Result<$type, $type> {
                point();
                self.$word(at).compare_exchange(old, new, SeqCst, Acquire)
            }
            /// Sets bits of a shared word; answers the value before.
            #[inline(always)]
            pub fn $or(self, at: Address, bits: $type) -> $type {
                point();
                self.$word(at).fetch_or(bits, SeqCst)
            }
            /// Keeps only `bits` of a shared word; answers the value before.
            #[inline(always)]
            pub fn $and(self, at: Address, bits: $type) -> $type {
                point();
                self.$word(at).fetch_and(bits, SeqCst)
            }
            /// Adds to a shared word, wrapping; answers the value before.
            #[inline(always)]
            pub fn $add(self, at: Address, value: $type) -> $type {
                point();
                self.$word(at).fetch_add(value, AcqRel)
            }
        }
    };
}

words!(
    word64,
    u64,
    constant64,
    own64,
    set_own64,
    load64,
    store64,
    swap64,
    compare_exchange64,
    fetch_or64,
    fetch_and64,
    fetch_add64
);
words!(
    word32,
    u32,
    constant32,
    own32,
    set_own32,
    load32,
    store32,
    swap32,
    compare_exchange32,
    fetch_or32,
    fetch_and32,
    fetch_add32
);

impl Memory {
    /// Whether so many bytes from an address on lie in memory, also in what another agent has grown it by before it told of the address.
    #[inline(never)]
    #[must_use]
    pub fn has(self, at: Address, size: u32) -> bool {
        self.has_here(at, size)
    }

    /// As [`Memory::has`], in line: for calls that do little more.
    #[inline(always)]
    #[must_use]
    pub fn has_here(self, at: Address, size: u32) -> bool {
        self.reaches(u64::from(at).wrapping_add(u64::from(size)))
    }

    /// Whether the memory has so many bytes.
    #[inline(always)]
    #[must_use]
    pub fn reaches(self, bytes: u64) -> bool {
        bytes <= u64::from(self.pages()).wrapping_mul(u64::from(PAGE)) || self.reaches_now(bytes)
    }

    #[cold]
    #[inline(never)]
    fn reaches_now(self, bytes: u64) -> bool {
        bytes <= u64::from(self.pages_now()).wrapping_mul(u64::from(PAGE))
    }

    /// Loads a shared word in the one order that all sequentially consistent accesses share: for store-then-load
    /// protocols (the fence, waiter bits), whose load must not be answered before the own write is seen.
    #[inline(always)]
    #[must_use]
    pub fn load64_ordered(self, at: Address) -> u64 {
        load();
        self.word64(at).load(SeqCst)
    }

    /// As [`Memory::load64_ordered`], for a 32-bit word.
    #[inline(always)]
    #[must_use]
    pub fn load32_ordered(self, at: Address) -> u32 {
        load();
        self.word32(at).load(SeqCst)
    }
}

impl Memory {
    /// Ends the call: what would lead it on is damaged. On wasm a trap.
    ///
    /// # Panics
    /// Always.
    #[cfg(not(all(target_arch = "wasm32", not(any(loom, shuttle)))))]
    #[cold]
    pub fn trap(self) -> ! {
        panic!("a word that the heap leads on by is damaged")
    }

    /// Orders all accesses before it with all behind it, for every agent. 19 ns on wasm.
    #[inline]
    pub fn fence(self) {
        atomics::fence(SeqCst);
    }
}
