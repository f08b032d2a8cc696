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
    /// 1 ⁄ the odd part of the size, modulo 2³².
    inverse: u32,
    /// Bytes of a block.
    pub size: u16,
    /// Where the blocks start, in bytes.
    first: u16,
    /// Blocks of a slab.
    pub count: u16,
    /// Where the owner words start, in bytes.
    owner: u16,
    /// Where the header words start, in bytes.
    headers: u16,
    /// The power of two in the size.
    shift: u16,
}

/// All classes, by number.
pub static CLASS: [Class; CLASSES as usize] = table();

#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler alone: an overflow does not compile")]
const fn table() -> [Class; CLASSES as usize] {
    let mut classes =
        [Class { inverse: 0, size: 0, first: 0, count: 0, owner: 0, headers: 0, shift: 0 }; CLASSES as usize];
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
const fn inverse_of(odd: u32) -> u32 {
    // Newton's iteration doubles the correct bits, beginning with three.
    let mut inverse = odd;
    let mut correct = 3;
    while correct < 32 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
        correct *= 2;
    }
    inverse
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
                inverse: inverse_of(size >> size.trailing_zeros()),
                size: size as u16,
                first: first as u16,
                count: count as u16,
                owner: owner as u16,
                headers: headers as u16,
                shift: size.trailing_zeros() as u16,
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
    // A size of 0 behaves as one of 1.
    let units = size.saturating_sub(1) / 16;
    CLASS_OF.get(units as usize).map(|&class| u32::from(class))
}

/// The class of each size, in units of 16 bytes less one.
static CLASS_OF: [u8; (LARGEST / 16) as usize] = class_of();

#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler alone: an overflow does not compile")]
const fn class_of() -> [u8; (LARGEST / 16) as usize] {
    let mut classes = [0; (LARGEST / 16) as usize];
    let (mut class, mut units) = (0, 0);
    while units < LARGEST / 16 {
        if size_of(class) < (units + 1) * 16 {
            class += 1;
        }
        classes[units as usize] = class as u8;
        units += 1;
    }
    classes
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
        u32::from(self.first).wrapping_add(index.wrapping_mul(u32::from(self.size)))
    }

    /// The index of the block that starts `offset` bytes into its slab, or `None` when none starts there.
    #[inline(always)]
    #[must_use]
    pub fn index(&self, offset: u32) -> Option<u32> {
        let distance = offset.wrapping_sub(u32::from(self.first));
        // A distance that is no multiple of the size, or negative, becomes larger than any count: Granlund and
        // Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994, section 9.
        let index = distance.wrapping_mul(self.inverse).rotate_right(u32::from(self.shift));
        (index < u32::from(self.count)).then_some(index)
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
