//! The 32 size classes of small blocks: steps of 16 bytes to 128, then four a doubling to 8 KiB.
//!
//! A slab is one page of one class: owner words with a bitmap, header words, blocks. Blocks keep their natural
//! alignment: a block of 64 bytes starts at a multiple of 64, one of 1,536 at a multiple of 512.

use crate::layout::{PAGE, slab};
use crate::sync::Address;

/// How many classes there are.
pub const CLASSES: u32 = 32;
/// Bytes of the largest class.
pub const LARGEST: u32 = 8192;
/// Blocks of the smallest class in a slab: no slab has more.
pub const MOST_BLOCKS: u32 = CLASS[0].count as u32;

/// What a slab of one class looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(16))]
pub struct Class {
    /// ⌈2³¹ / (size / 16)⌉: multiplies a distance in units of 16 bytes to a block index.
    reciprocal: u32,
    /// Bytes of a block.
    pub size: u16,
    /// Where the blocks start, in units of 16 bytes.
    first: u16,
    /// Blocks of a slab.
    pub count: u16,
    /// Where the owner words start, in bytes.
    owner: u16,
    /// Where the header words start, in bytes.
    headers: u16,
}

/// All classes, by number.
pub static CLASS: [Class; CLASSES as usize] = table();

#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler alone: an overflow does not compile")]
const fn table() -> [Class; CLASSES as usize] {
    let mut classes = [Class { reciprocal: 0, size: 0, first: 0, count: 0, owner: 0, headers: 0 }; CLASSES as usize];
    let mut class = 0;
    while class < CLASSES {
        classes[class as usize] = shape(size_of(class), line_of(class) * 64);
        class += 1;
    }
    classes
}

#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler alone: an overflow does not compile")]
const fn size_of(class: u32) -> u32 {
    if class < 8 {
        (class + 1) * 16
    } else {
        let doubling = (class - 8) / 4;
        let step = (class - 8) % 4 + 1;
        (128 << doubling) + step * (32 << doubling)
    }
}

/// The cache line of a page where the owner words of a class lie: each class another, none at the lines of the
/// operation records (4, 20, 36, 52).
#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler alone: an overflow does not compile")]
const fn line_of(class: u32) -> u32 {
    // 64-byte blocks, the measure of what a slab costs, have the first line.
    let line = class ^ 3;
    line + (line >= 4) as u32 + (line >= 19) as u32
}

#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler alone: an overflow does not compile")]
const fn shape(size: u32, owner: u32) -> Class {
    let alignment = 1 << size.trailing_zeros();
    let mut count = PAGE / size;
    loop {
        let headers = owner + slab::BITMAP + count.div_ceil(64) * 8;
        let first = (headers + count * 8).next_multiple_of(alignment);
        if first + count * size <= PAGE {
            return Class {
                reciprocal: ((1u64 << 31).div_ceil(size as u64 / 16)) as u32,
                size: size as u16,
                first: (first / 16) as u16,
                count: count as u16,
                owner: owner as u16,
                headers: headers as u16,
            };
        }
        count -= 1;
    }
}

/// The smallest class whose blocks hold `size` bytes at a multiple of `align`, or `None`: not a small block.
/// A `size` of zero takes the smallest.
#[inline(always)]
#[must_use]
pub fn of(size: u32, align: u32) -> Option<u32> {
    if align <= 16 {
        return of_size(size);
    }
    if align > LARGEST || size > LARGEST {
        return None;
    }
    // A power of two keeps its own alignment.
    let mut size = size.max(align);
    while size <= LARGEST {
        let class = of_size(size)?;
        if align <= 1 << u32::from(CLASS[class as usize].size).trailing_zeros() {
            return Some(class);
        }
        size = u32::from(CLASS[class as usize].size).wrapping_add(1);
    }
    None
}

#[inline(always)]
fn of_size(size: u32) -> Option<u32> {
    if size <= 128 {
        // 0 behaves as 1.
        return Some(size.saturating_sub(1) >> 4);
    }
    if size > LARGEST {
        return None;
    }
    let last = size.wrapping_sub(1);
    let doubling = 31u32.wrapping_sub(last.leading_zeros()).wrapping_sub(7);
    let step = last.wrapping_shr(doubling.wrapping_add(5)) & 3;
    Some(doubling.wrapping_mul(4).wrapping_add(step).wrapping_add(8))
}

impl Class {
    /// Where the owner words of the slab at `at` lie.
    #[inline(always)]
    #[must_use]
    pub fn owner(&self, at: Address) -> Address {
        at.wrapping_add(u32::from(self.owner))
    }

    /// Where the bitmap of the slab at `at` lies: one bit a block.
    #[inline(always)]
    #[must_use]
    pub fn bitmap(&self, at: Address) -> Address {
        self.owner(at).wrapping_add(slab::BITMAP)
    }

    /// Words of the bitmap.
    #[inline(always)]
    #[must_use]
    pub fn words(&self) -> u32 {
        u32::from(self.count).div_ceil(64)
    }

    /// A word of the bitmap when all its blocks are free.
    #[inline(always)]
    #[must_use]
    pub fn full(&self, word: u32) -> u64 {
        let rest = u32::from(self.count).wrapping_sub(word.wrapping_mul(64));
        if rest >= 64 { u64::MAX } else { 1u64.wrapping_shl(rest).wrapping_sub(1) }
    }

    /// Where the header word of block `index` lies in its slab.
    #[inline(always)]
    #[must_use]
    pub fn header(&self, index: u32) -> u32 {
        u32::from(self.headers).wrapping_add(index.wrapping_mul(8))
    }

    /// Where block `index` lies in its slab.
    #[inline(always)]
    #[must_use]
    pub fn block(&self, index: u32) -> u32 {
        u32::from(self.first).wrapping_mul(16).wrapping_add(index.wrapping_mul(u32::from(self.size)))
    }

    /// The index of the block that starts `offset` bytes into its slab, or `None` when none starts there.
    #[inline(always)]
    #[must_use]
    pub fn index(&self, offset: u32) -> Option<u32> {
        let distance = offset.wrapping_sub(u32::from(self.first).wrapping_mul(16));
        // Exact for every distance inside a page: the reciprocal's error times 4,096 stays below 2³¹.
        let index = (u64::from(distance >> 4).wrapping_mul(u64::from(self.reciprocal)) >> 31) as u32;
        let exact = index.wrapping_mul(u32::from(self.size)) == distance;
        (exact && index < u32::from(self.count)).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_every_size_and_alignment_fits_and_is_the_smallest() {
        let mut cases = 0u32;
        for size in 0..=LARGEST {
            for align in [1, 8, 16, 64, 512, 4096, 8192] {
                let class = of(size, align).expect("small");
                let found = CLASS[class as usize];
                assert!(u32::from(found.size) >= size);
                for index in [0, u32::from(found.count) - 1] {
                    assert_eq!(found.block(index) % align.min(1 << found.size.trailing_zeros()), 0);
                }
                assert!(align <= 16 || found.size.trailing_zeros() >= align.trailing_zeros());
                if align <= 16 && class > 0 {
                    assert!(u32::from(CLASS[class as usize - 1].size) < size, "{size} in {class}");
                }
                cases += 1;
            }
        }
        std::println!("cases class_every_size_and_alignment_fits_and_is_the_smallest {cases}");
        assert_eq!(of(LARGEST + 1, 8), None);
        assert_eq!(of(16, 16384), None);
    }

    #[test]
    fn block_every_offset_maps_to_its_index_or_to_none() {
        for class in CLASS {
            let mut starts = 0;
            for offset in 0..PAGE {
                if let Some(index) = class.index(offset) {
                    assert_eq!(class.block(index), offset);
                    starts += 1;
                }
            }
            assert_eq!(starts, class.count);
            assert!(class.block(u32::from(class.count) - 1) + u32::from(class.size) <= PAGE);
            assert!(class.header(u32::from(class.count)) <= class.block(0));
        }
    }

    #[test]
    fn slab_of_64_byte_blocks_costs_little() {
        let class = CLASS[of(64, 64).expect("small") as usize];
        assert_eq!((class.size, class.count), (64, 908));
    }
}
