//! The memory of a native process: an ordinary zeroed mapping that stands in for linear memory.

extern crate std;

use core::alloc::{GlobalAlloc, Layout};
use core::ops::Range;
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
        let layout = Self::layout(maximum)?;
        // From the system and not from the global allocator, which may be one over this very mapping.
        // SAFETY: neither layout is empty.
        let (start, mapping) =
            unsafe { (System.alloc_zeroed(layout), System.alloc(Layout::new::<Mapping>()).cast::<Mapping>()) };
        if start.is_null() || mapping.is_null() {
            return None;
        }
        // SAFETY: the layout has a page more than the memory, for this.
        let base = unsafe { start.add(start.align_offset(PAGE as usize)) };
        // SAFETY: just allocated with this type's layout.
        unsafe { mapping.write(Mapping { start, base, pages: AtomicU32::new(initial), maximum }) };
        Some(Self(mapping))
    }

    /// `None` when the address space of the target is too small.
    fn layout(maximum: u32) -> Option<Layout> {
        let bytes = (maximum as usize).checked_add(1)?.checked_mul(PAGE as usize)?;
        // An ordinary alignment, so that the system maps zero pages instead of writing zeros.
        Layout::from_size_align(bytes, 16).ok()
    }

    /// Gives the mapping back to the system.
    ///
    /// # Safety
    /// No copy of this handle, and nothing made from it, is used afterwards.
    pub unsafe fn unmap(self) {
        // SAFETY: the caller vouches that this is the last use; both were made in `map`.
        unsafe {
            let (start, maximum) = ((*self.0).start, (*self.0).maximum);
            if let Some(layout) = Self::layout(maximum) {
                System.dealloc(start, layout);
            }
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
        assert!(at.is_multiple_of(8), "unaligned word at {at:#x}: wasm would trap");
        // SAFETY: I-1 `pointer` checks the bounds, and the mapping begins at a multiple of 64 KiB.
        unsafe { AtomicU64::from_ptr(self.pointer(at, 8).cast()) }
    }

    #[inline(always)]
    pub(super) fn word32(&self, at: Address) -> &AtomicU32 {
        assert!(at.is_multiple_of(4), "unaligned word at {at:#x}: wasm would trap");
        // SAFETY: I-1 as word64.
        unsafe { AtomicU32::from_ptr(self.pointer(at, 4).cast()) }
    }

    /// Payload, byte by byte.
    fn bytes(&self, at: Address, length: usize) -> &[AtomicU8] {
        // SAFETY: I-1 `pointer` checks the bounds; I-3 an atomic byte may be shared with every other access.
        unsafe { core::slice::from_raw_parts(self.pointer(at, length).cast(), length) }
    }

    /// Pages of the memory now.
    #[must_use]
    pub fn pages(self) -> u32 {
        self.mapping().pages.load(SeqCst)
    }

    /// Pages of the memory now: here [`Memory::pages`].
    #[must_use]
    pub fn pages_now(self) -> u32 {
        self.pages()
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

    /// Where the pieces of these bytes are: aligned words as far as possible, else single bytes. So a copy meets the loads
    /// of who still takes its bytes for words at their own width.
    fn pieces(at: Address, length: usize) -> impl Iterator<Item = Range<usize>> {
        let mut next = 0usize;
        core::iter::from_fn(move || {
            let start = next;
            let is_word = (at as usize).wrapping_add(start) & 7 == 0 && length.saturating_sub(start) >= 8;
            next = start.saturating_add(if is_word { 8 } else { 1 });
            (start < length).then_some(start..next)
        })
    }

    fn load_piece(&self, at: Address, into: &mut [u8]) {
        match <&mut [u8; 8]>::try_from(&mut *into) {
            Ok(word) => *word = self.word64(at).load(Relaxed).to_le_bytes(),
            Err(_) => into.iter_mut().zip(self.bytes(at, 1)).for_each(|(into, from)| *into = from.load(Relaxed)),
        }
    }

    fn store_piece(&self, at: Address, from: &[u8]) {
        match <[u8; 8]>::try_from(from) {
            Ok(word) => self.word64(at).store(u64::from_le_bytes(word), Relaxed),
            Err(_) => from.iter().zip(self.bytes(at, 1)).for_each(|(from, into)| into.store(*from, Relaxed)),
        }
    }

    /// Copies payload out; another agent may be writing it, so the caller validates afterwards. Linear in `into`.
    pub fn copy_out(self, at: Address, into: &mut [u8]) {
        for piece in Self::pieces(at, into.len()) {
            self.load_piece(at.wrapping_add(piece.start as u32), &mut into[piece]);
        }
        // The caller's validating loads come after these.
        fence(Acquire);
    }

    /// Copies bytes into a block that the caller has not published yet. Linear in `from`.
    pub fn copy_in(self, at: Address, from: &[u8]) {
        point();
        for piece in Self::pieces(at, from.len()) {
            self.store_piece(at.wrapping_add(piece.start as u32), &from[piece]);
        }
    }

    /// Copies inside the memory; either side may be written by others meanwhile. Linear in `length`.
    pub fn copy_within(self, from: Address, to: Address, length: u32) {
        point();
        let same = (from ^ to) & 7 == 0;
        let mut word = [0; 8];
        // Of two places that differ in their alignment, neither can be copied by its words.
        for piece in Self::pieces(if same { to } else { 0 }, if same { length as usize } else { 0 }) {
            let copied = &mut word[..piece.len()];
            self.load_piece(from.wrapping_add(piece.start as u32), copied);
            self.store_piece(to.wrapping_add(piece.start as u32), copied);
        }
        if !same {
            let (from, to) = (self.bytes(from, length as usize), self.bytes(to, length as usize));
            from.iter().zip(to).for_each(|(from, to)| to.store(from.load(Relaxed), Relaxed));
        }
    }

    /// Fills bytes of an unpublished block or page; who holds a stale handle may be reading them. Linear in `length`.
    pub fn fill(self, at: Address, length: u32, byte: u8) {
        point();
        for piece in Self::pieces(at, length as usize) {
            self.store_piece(at.wrapping_add(piece.start as u32), &[byte; 8][..piece.len()]);
        }
    }
}
