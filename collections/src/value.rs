//! One 64-bit encoding for each number.
//!
//! A number is the bits of its double: one encoding each, because every NaN is canonicalised on entry (JavaScript
//! hands NaN payloads to wasm unchanged, so a payload could otherwise forge a reference) and −0 is kept apart from 0.
//! Comparing two words is therefore `Object.is`.
//!
//! Words whose 13 top bits are all set (negative quiet NaNs) are no numbers: that space is kept free for
//! `13 prefix | 3 type | 16 generation | 32 reference`, the other kinds of values. Two of its types are reserved:
//! OPERATION (the cell belongs to an operation on several cells) and MOVED (the cell was copied elsewhere).

/// The one NaN: quiet, positive, no payload.
pub const NAN: u64 = 0x7FF8 << 48;

/// The first word of the space that holds no numbers; it reaches to `u64::MAX`.
pub const TAGGED: u64 = 0xFFF8 << 48;

/// The word of a number.
#[inline(always)]
#[must_use]
pub fn from_number(number: f64) -> u64 {
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
}
