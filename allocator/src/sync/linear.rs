//! The memory of a wasm32 module: address = offset in linear memory 0.

use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{Address, point};

/// The module's own linear memory. Zero-sized.
#[derive(Clone, Copy, Debug)]
pub struct Memory(());

impl Memory {
    /// The linear memory this module was instantiated over.
    #[inline(always)]
    #[must_use]
    pub const fn linear() -> Self {
        Self(())
    }

    #[inline(always)]
    pub(super) fn word64(self, at: Address) -> &'static AtomicU64 {
        // SAFETY: I-1 linear memory lasts as long as the instance; an address outside it traps, an unaligned one too.
        unsafe { AtomicU64::from_ptr(with_exposed_provenance_mut(at as usize)) }
    }

    #[inline(always)]
    pub(super) fn word32(self, at: Address) -> &'static AtomicU32 {
        // SAFETY: I-1 as word64.
        unsafe { AtomicU32::from_ptr(with_exposed_provenance_mut(at as usize)) }
    }

    #[inline(always)]
    pub(super) fn read_volatile<T: Copy>(self, at: Address) -> T {
        // SAFETY: I-1; I-2 an owner word is written by one agent, and every bit pattern of T (u32, u64) is valid.
        unsafe { with_exposed_provenance::<T>(at as usize).read_volatile() }
    }

    #[inline(always)]
    pub(super) fn read_constant<T: Copy>(self, at: Address) -> T {
        // SAFETY: I-1; I-2 the word does not change while the caller can read it, so a plain load may be kept.
        unsafe { with_exposed_provenance::<T>(at as usize).read() }
    }

    #[inline(always)]
    pub(super) fn write_volatile<T: Copy>(self, at: Address, value: T) {
        // SAFETY: I-1, I-2.
        unsafe { with_exposed_provenance_mut::<T>(at as usize).write_volatile(value) }
    }

    /// The pointer of an address.
    #[must_use]
    pub fn pointer(self, at: Address, _length: usize) -> *mut u8 {
        with_exposed_provenance_mut(at as usize)
    }

    /// The address of a pointer.
    #[must_use]
    pub fn address(self, pointer: *const u8) -> Option<Address> {
        Some(pointer.expose_provenance() as Address)
    }

    /// Ends the call: what would lead it on is damaged.
    #[inline(always)]
    pub fn trap(self) -> ! {
        core::arch::wasm32::unreachable()
    }

    /// Pages of the memory, perhaps of a moment ago: of what another agent has grown it by V8 tells an instance at its next interrupt.
    #[inline(always)]
    #[must_use]
    pub fn pages(self) -> u32 {
        core::arch::wasm32::memory_size::<0>() as u32
    }

    /// Pages of the memory now. Some microseconds.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn pages_now(self) -> u32 {
        let pages = core::arch::wasm32::memory_grow::<0>(0);
        // What cannot grow answers so, too.
        if pages == usize::MAX { self.pages() } else { pages as u32 }
    }

    /// Grows by `pages`; answers the size before, in pages. `None` when the maximum or the platform refuses.
    #[must_use]
    pub fn grow(self, pages: u32) -> Option<u32> {
        point();
        let before = core::arch::wasm32::memory_grow::<0>(pages as usize);
        (before != usize::MAX).then_some(before as u32)
    }

    /// Copies payload out; another agent may be writing it, so the caller validates afterwards. Linear in `into`.
    #[inline(never)]
    pub fn copy_out(self, at: Address, into: &mut [u8]) {
        let mut from = at;
        let mut rest = into;
        while !rest.is_empty() {
            if from & 7 == 0 && rest.len() >= 8 {
                let (head, tail) = rest.split_at_mut(8);
                head.copy_from_slice(&self.word64(from).load(Relaxed).to_le_bytes());
                rest = tail;
                from = from.wrapping_add(8);
            } else {
                let (head, tail) = rest.split_at_mut(1);
                // SAFETY: I-1; I-3 payload is read as atomic bytes.
                head[0] = unsafe { AtomicU8::from_ptr(with_exposed_provenance_mut(from as usize)) }.load(Relaxed);
                rest = tail;
                from = from.wrapping_add(1);
            }
        }
    }

    /// Copies bytes into a block that the caller has not published yet. Linear in `from`.
    #[inline]
    pub fn copy_in(self, at: Address, from: &[u8]) {
        point();
        // SAFETY: I-1; I-4 an unpublished block is written by its owner alone.
        unsafe {
            core::ptr::copy_nonoverlapping(from.as_ptr(), with_exposed_provenance_mut(at as usize), from.len());
        }
    }

    /// Copies inside the memory (`memory.copy`); either side may be written by others meanwhile. Linear in `length`.
    #[inline]
    pub fn copy_within(self, from: Address, to: Address, length: u32) {
        point();
        // SAFETY: I-1; I-3 `memory.copy` reads and writes byte by byte, no value is made of a torn read.
        unsafe {
            core::ptr::copy(
                with_exposed_provenance::<u8>(from as usize),
                with_exposed_provenance_mut::<u8>(to as usize),
                length as usize,
            );
        }
    }

    /// Fills bytes of an unpublished block or page. Linear in `length`.
    #[inline]
    pub fn fill(self, at: Address, length: u32, byte: u8) {
        point();
        // SAFETY: I-1, I-4.
        unsafe { core::ptr::write_bytes(with_exposed_provenance_mut::<u8>(at as usize), byte, length as usize) }
    }
}
