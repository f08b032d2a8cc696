//! The memory of a native process: an ordinary zeroed mapping that stands in for linear memory.

extern crate std;

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::SeqCst, fence,
};
use std::alloc::System;

use super::{Address, PAGE, point};

/// What a [`Memory`] points to.
#[derive(Debug)]
struct Mapping {
    /// What the system gave; `base` is the first multiple of a page in it.
    start: *mut u8,
    base: *mut u8,
    pages: AtomicU32,
    maximum: u32,
}

/// A handle to one mapping. Copies name the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory(*const Mapping);

// SAFETY: I-1 the mapping lasts until `unmap`, and every access is atomic or to unpublished bytes.
unsafe impl Send for Memory {}
// SAFETY: I-1 as Send.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps `maximum` pages, `initial` of them usable at once; untouched pages cost nothing. `None` when the system
    /// refuses, or when `initial` is above `maximum` or `maximum` above 65,536.
    #[must_use]
    pub fn map(initial: u32, maximum: u32) -> Option<Self> {
        if initial > maximum || maximum == 0 || maximum > 65_536 {
            return None;
        }
        // From the system and not from the global allocator, which may be one over this very mapping.
        // SAFETY: neither layout is empty.
        let (start, mapping) = unsafe {
            (System.alloc_zeroed(Self::layout(maximum)), System.alloc(Layout::new::<Mapping>()).cast::<Mapping>())
        };
        if start.is_null() || mapping.is_null() {
            return None;
        }
        // SAFETY: the layout has a page more than the memory, for this.
        let base = unsafe { start.add(start.align_offset(PAGE as usize)) };
        // SAFETY: just allocated with this type's layout.
        unsafe { mapping.write(Mapping { start, base, pages: AtomicU32::new(initial), maximum }) };
        Some(Self(mapping))
    }

    fn layout(maximum: u32) -> Layout {
        // An ordinary alignment, so that the system maps zero pages instead of writing zeros.
        let bytes = (maximum as usize).saturating_add(1).saturating_mul(PAGE as usize);
        Layout::from_size_align(bytes, 16).unwrap_or(Layout::new::<u8>())
    }

    /// Gives the mapping back to the system.
    ///
    /// # Safety
    /// No copy of this handle, and nothing made from it, is used afterwards.
    pub unsafe fn unmap(self) {
        // SAFETY: the caller vouches that this is the last use; both were made in `map`.
        unsafe {
            let (start, maximum) = ((*self.0).start, (*self.0).maximum);
            System.dealloc(start, Self::layout(maximum));
            System.dealloc(self.0.cast_mut().cast(), Layout::new::<Mapping>());
        }
    }

    fn mapping(&self) -> &Mapping {
        // SAFETY: I-1.
        unsafe { &*self.0 }
    }

    /// The native pointer of an address.
    ///
    /// # Panics
    /// When the bytes do not lie in the mapping: wasm would trap.
    #[inline(always)]
    #[must_use]
    pub fn pointer(self, at: Address, length: usize) -> *mut u8 {
        let mapping = self.mapping();
        let end = (at as usize).saturating_add(length);
        let size = (mapping.pages.load(Relaxed) as usize).saturating_mul(PAGE as usize);
        assert!(end <= size, "address {at:#x} + {length} is outside the memory of {size:#x} bytes");
        // SAFETY: just checked to lie in the mapping.
        unsafe { mapping.base.add(at as usize) }
    }

    /// The address of a native pointer into the mapping, or `None`.
    #[must_use]
    pub fn address(self, pointer: *const u8) -> Option<Address> {
        let offset = (pointer as usize).checked_sub(self.mapping().base as usize)?;
        let size = (self.mapping().maximum as usize).saturating_mul(PAGE as usize);
        if offset < size { Address::try_from(offset).ok() } else { None }
    }

    #[inline(always)]
    pub(super) fn word64(&self, at: Address) -> &AtomicU64 {
        // SAFETY: I-1, and `pointer` checked the bounds; natively an unaligned address is a bug of ours.
        unsafe { AtomicU64::from_ptr(self.pointer(at, 8).cast()) }
    }

    #[inline(always)]
    pub(super) fn word32(&self, at: Address) -> &AtomicU32 {
        // SAFETY: I-1 as word64.
        unsafe { AtomicU32::from_ptr(self.pointer(at, 4).cast()) }
    }

    fn byte(&self, at: Address) -> &AtomicU8 {
        // SAFETY: I-1 as word64.
        unsafe { AtomicU8::from_ptr(self.pointer(at, 1)) }
    }

    /// Pages of the memory now.
    #[must_use]
    pub fn pages(self) -> u32 {
        self.mapping().pages.load(SeqCst)
    }

    /// Grows by `pages`; answers the size before, in pages. `None` when the maximum refuses.
    #[must_use]
    pub fn grow(self, pages: u32) -> Option<u32> {
        point();
        let maximum = self.mapping().maximum;
        self.mapping()
            .pages
            .fetch_update(SeqCst, SeqCst, |now| now.checked_add(pages).filter(|&after| after <= maximum))
            .ok()
    }

    /// Copies payload out; another agent may be writing it, so the caller validates afterwards. Linear in `into`.
    pub fn copy_out(self, at: Address, into: &mut [u8]) {
        for (index, byte) in into.iter_mut().enumerate() {
            *byte = self.byte(at.wrapping_add(index as u32)).load(Relaxed);
        }
        // The caller's validating loads come after these.
        fence(Acquire);
    }

    /// Copies bytes into a block that the caller has not published yet. Linear in `from`.
    pub fn copy_in(self, at: Address, from: &[u8]) {
        point();
        for (index, &byte) in from.iter().enumerate() {
            self.byte(at.wrapping_add(index as u32)).store(byte, Relaxed);
        }
    }

    /// Copies inside the memory; either side may be written by others meanwhile. Linear in `length`.
    pub fn copy_within(self, from: Address, to: Address, length: u32) {
        point();
        for index in 0..length {
            let byte = self.byte(from.wrapping_add(index)).load(Relaxed);
            self.byte(to.wrapping_add(index)).store(byte, Relaxed);
        }
    }

    /// Fills bytes of an unpublished block or page. Linear in `length`.
    pub fn fill(self, at: Address, length: u32, byte: u8) {
        point();
        // SAFETY: I-1, I-4 unpublished bytes have one writer.
        unsafe { core::ptr::write_bytes(self.pointer(at, length as usize), byte, length as usize) }
    }
}
