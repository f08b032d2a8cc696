//! One 64-bit word for each value that a cell holds.
//!
//! A number is the bits of its double: one encoding each, because every NaN is canonicalised on entry (JavaScript
//! hands NaN payloads to wasm unchanged, so a payload could otherwise forge a reference) and −0 is kept apart from 0.
//!
//! Words whose 13 top bits are all set (negative quiet NaNs) are no numbers: `13 ones | type 3 | payload 48`.
//!
//! | type | payload |
//! |---|---|
//! | 0 SPECIAL | undefined, null, false, true; EMPTY, for structures, stands in no cell |
//! | 1 SHORT | a string of at most five units below 256: length 8 · units 40 |
//! | 2 ATOM | a string that has a number, see [`crate::atom`] |
//! | 3 OBJECT | a reference to another object in a block ([`crate::nested`]): low bits of the block's generation 16 · its |
//! | | address in units of 16 bytes 32 |
//! | 4 STRING | a string in a block, likewise |
//! | 5 DATA | bytes or a big integer in a block, likewise |
//! | 6 OPERATION | no value of its own: an entry's or a place's state, or a change that several words take part in |
//! | 7 MOVED | the cell was copied elsewhere (reserved) |
//!
//! Two words that are no blocks are the same value exactly if they are the same word: comparing is `Object.is`. A word
//! reaches 64 GiB, so a larger memory changes no layout.

use coheap_alloc::{Address, Block};

/// The one NaN: quiet, positive, no payload.
pub const NAN: u64 = 0x7FF8 << 48;

/// The first word of the space that holds no numbers; it reaches to `u64::MAX`.
pub const TAGGED: u64 = 0xFFF8 << 48;

/// What a word of the tagged space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// One of a few constants.
    Special = 0,
    /// A string of at most [`SHORTEST`] units below 256.
    Short = 1,
    /// A string by its number.
    Atom = 2,
    /// A reference to another object, in a block.
    Object = 3,
    /// A string in a block.
    String = 4,
    /// Bytes or a big integer in a block.
    Data = 5,
    /// No value of its own: a state, or a change that several words take part in.
    Operation = 6,
    /// The cell was copied elsewhere.
    Moved = 7,
}

/// The word of `undefined`.
pub const UNDEFINED: u64 = TAGGED;
/// The word of `null`.
pub const NULL: u64 = TAGGED | 1;
/// The word of `false`.
pub const FALSE: u64 = TAGGED | 2;
/// The word of `true`.
pub const TRUE: u64 = TAGGED | 3;
/// Nothing at all: for structures whose places may have no value.
pub const EMPTY: u64 = TAGGED | 4;

/// Units that a string in its word may have.
pub const SHORTEST: usize = 5;

/// Bits of a payload.
const PAYLOAD: u64 = (1 << 48) - 1;

/// The word of a tag and a payload of 48 bits.
#[inline(always)]
#[must_use]
pub const fn tagged(tag: Tag, payload: u64) -> u64 {
    TAGGED | (tag as u64) << 48 | payload & PAYLOAD
}

/// What a word is; `None` for a number.
#[inline(always)]
#[must_use]
pub const fn tag(word: u64) -> Option<Tag> {
    if word < TAGGED {
        return None;
    }
    Some(match word >> 48 & 7 {
        0 => Tag::Special,
        1 => Tag::Short,
        2 => Tag::Atom,
        3 => Tag::Object,
        4 => Tag::String,
        5 => Tag::Data,
        6 => Tag::Operation,
        _ => Tag::Moved,
    })
}

/// The 48 bits that are a tagged word's own.
#[inline(always)]
#[must_use]
pub const fn payload(word: u64) -> u64 {
    word & PAYLOAD
}

/// Whether the word names a block: OBJECT, STRING or DATA. One comparison.
#[inline(always)]
#[must_use]
pub const fn is_block(word: u64) -> bool {
    (word >> 48).wrapping_sub(TAGGED >> 48 | Tag::Object as u64) <= (Tag::Data as u64 - Tag::Object as u64)
}

/// Whether the word names the block of a reference to another object.
#[inline(always)]
#[must_use]
pub const fn is_reference(word: u64) -> bool {
    word >> 48 == TAGGED >> 48 | Tag::Object as u64
}

/// The word of a block of this tag.
#[inline(always)]
#[must_use]
pub const fn from_block(tag: Tag, block: Block) -> u64 {
    tagged(tag, ((block.generation & 0xFFFF) as u64) << 32 | (block.address / 16) as u64)
}

/// Where the block of a word starts, and the low bits of its generation; `None` when that is beyond 4 GiB.
#[inline(always)]
#[must_use]
pub const fn block_at(word: u64) -> Option<(Address, u32)> {
    let reference = word as u32;
    if reference >> 28 != 0 { None } else { Some((reference << 4, (word >> 32) as u32 & 0xFFFF)) }
}

/// The word of a string of these units, or `None`: too long for one.
#[inline(never)]
#[must_use]
pub fn from_short(units: &[u8]) -> Option<u64> {
    if units.len() > SHORTEST {
        return None;
    }
    let mut bytes = [0; 8];
    bytes[..units.len()].copy_from_slice(units);
    Some(tagged(Tag::Short, u64::from_le_bytes(bytes) | (units.len() as u64) << 40))
}

/// The units of a SHORT word, and how many they are.
#[inline]
#[must_use]
pub fn to_short(word: u64) -> ([u8; SHORTEST], usize) {
    let [first, second, third, fourth, fifth, length, ..] = payload(word).to_le_bytes();
    ([first, second, third, fourth, fifth], usize::from(length).min(SHORTEST))
}

/// Whether a word that names no block may stand in a cell: one that [`from_number`], [`from_short`] or a constant makes.
/// Whether an atom exists is for [`crate::atom::exists`] to say.
#[must_use]
pub fn is_plain(word: u64) -> bool {
    match tag(word) {
        None => to_number(word).is_some(),
        Some(Tag::Special) => word < EMPTY,
        Some(Tag::Short) => {
            let (units, length) = to_short(word);
            from_short(units.get(..length).unwrap_or_default()) == Some(word)
        }
        Some(Tag::Atom) => payload(word) <= u64::from(u32::MAX),
        _ => false,
    }
}

/// The word of a number.
#[inline(always)]
#[must_use]
pub fn from_number(number: f64) -> u64 {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::ANY_NAN) {
        // Seeded bug: the bits may be those of a word that is no number.
        return number.to_bits();
    }
    if number.is_nan() { NAN } else { number.to_bits() }
}

/// The number of a word, or `None` when the word is no number: tagged, or a NaN that no entry makes.
#[inline(always)]
#[must_use]
pub fn to_number(word: u64) -> Option<f64> {
    let number = f64::from_bits(word);
    (!number.is_nan() || word == NAN).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_every_class_round_trips() {
        for number in [0.0, -0.0, 1.0, -1.5, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(to_number(from_number(number)).map(f64::to_bits), Some(number.to_bits()));
        }
        assert_ne!(from_number(0.0), from_number(-0.0));
    }

    #[test]
    fn nan_of_any_payload_becomes_the_one_nan() {
        #[cfg(all(feature = "controls", feature = "std"))]
        crate::controls::set_from_environment();
        for payload in 0..10_000u64 {
            for sign in [0, 1 << 63] {
                let bits = sign | 0x7FF0 << 48 | payload.wrapping_mul(0x0003_1234_5678_9ABD) & 0xF_FFFF_FFFF_FFFF | 1;
                assert_eq!(from_number(f64::from_bits(bits)), NAN, "{bits:#x}");
            }
        }
        assert!(to_number(NAN).is_some_and(f64::is_nan));
    }

    #[test]
    fn word_of_the_tagged_space_is_no_number() {
        for word in [TAGGED, TAGGED | 1, u64::MAX, NAN | 1, 0xFFF0_0000_0000_0001] {
            assert_eq!(to_number(word), None, "{word:#x}");
        }
    }

    #[test]
    fn word_of_every_short_string_round_trips_and_five_is_the_border() {
        for length in 0..=SHORTEST {
            for unit in 0..=u8::MAX {
                let units = [unit; SHORTEST];
                let word = from_short(&units[..length]).expect("short");
                let (found, count) = to_short(word);
                assert_eq!((&found[..count], tag(word)), (&units[..length], Some(Tag::Short)));
                assert!(is_plain(word));
            }
        }
        assert_eq!(from_short(&[0; SHORTEST + 1]), None);
        assert_ne!(from_short(b""), from_short(b"\0"));
    }

    #[test]
    fn word_of_every_block_round_trips_and_only_blocks_are_blocks() {
        for address in [16, 65_536, 0x8000_0000, 0xFFFF_FFF0] {
            for generation in [0, 1, 0xFFFF, 0x1234_5678] {
                for kind in [Tag::Object, Tag::String, Tag::Data] {
                    let word = from_block(kind, Block { address, generation });
                    assert_eq!((tag(word), block_at(word)), (Some(kind), Some((address, generation & 0xFFFF))));
                    assert!(is_block(word) && !is_plain(word));
                }
            }
        }
        for other in [Tag::Special, Tag::Short, Tag::Atom, Tag::Operation, Tag::Moved] {
            assert!(!is_block(tagged(other, 5)));
        }
        for number in [0.0, -0.0, f64::NEG_INFINITY, f64::NAN, -1.0] {
            assert!(!is_block(from_number(number)));
        }
        assert_eq!(block_at(tagged(Tag::String, 1 << 28)), None);
    }

    #[test]
    fn word_that_nobody_makes_is_not_plain() {
        for word in [EMPTY, TAGGED | 99, tagged(Tag::Short, 6 << 40), tagged(Tag::Short, 1 << 40 | 0x100)] {
            assert!(!is_plain(word), "{word:#x}");
        }
        for word in [tagged(Tag::Object, 1), tagged(Tag::Operation, 0), u64::MAX, 0xFFF0_0000_0000_0001] {
            assert!(!is_plain(word), "{word:#x}");
        }
    }
}
