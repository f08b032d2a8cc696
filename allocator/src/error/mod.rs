//! What can go wrong, as values. `errors.json` is the table; the numbers are in [`crate::generated`].
//!
//! An error has two forms with one face. In Rust programs it is [`whole`], a value of 16 bytes. In `heap.wasm` every call passes errors on
//! and nobody looks at their details before they leave it, so there they stand [`apart`], and an error is a number.

#[cfg(all(target_arch = "wasm32", feature = "error-globals", not(feature = "embedded")))]
mod apart;
#[cfg(not(all(target_arch = "wasm32", feature = "error-globals", not(feature = "embedded"))))]
mod whole;

use core::fmt;

#[cfg(all(target_arch = "wasm32", feature = "error-globals", not(feature = "embedded")))]
pub use apart::Error;
#[cfg(not(all(target_arch = "wasm32", feature = "error-globals", not(feature = "embedded"))))]
pub use whole::Error;

/// How many bytes, or elements: exact below 2³¹, and for multiples of 16 up to 2³⁵ − 16, which is what everything larger counts
/// as. In four bytes, because every answer has room for an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Amount(u32);

impl Amount {
    const SCALED: u32 = 1 << 31;

    /// Of this many.
    #[must_use]
    pub const fn new(amount: u64) -> Self {
        if amount < Self::SCALED as u64 {
            return Self(amount as u32);
        }
        let scaled = amount / 16;
        Self(Self::SCALED | if scaled < Self::SCALED as u64 { scaled as u32 } else { Self::SCALED - 1 })
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u64 {
        if self.0 < Self::SCALED { self.0 as u64 } else { ((self.0 & (Self::SCALED - 1)) as u64) << 4 }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(formatter)
    }
}

/// What every call answers.
pub type Result<T, E = Error> = core::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amount_is_exact_up_to_the_border_and_in_sixteens_beyond() {
        for amount in [0, 1, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 35) - 16] {
            assert_eq!(Amount::new(amount).get(), amount);
        }
        assert_eq!(Amount::new((1 << 32) + 15).get(), 1 << 32);
        assert_eq!(Amount::new(u64::MAX).get(), (1 << 35) - 16);
        assert_eq!(format!("{:?}", Amount::new(5)), "5");
    }

    #[test]
    fn error_of_every_number_and_its_details_is_itself() {
        let errors = (0..=u32::from(u8::MAX)).filter_map(|code| Error::from_code(code, [3.0, 2.0, 1.0]));
        let same = errors.filter(|&error| Error::from_code(error.code(), error.details()) == Some(error));
        assert_eq!(same.count(), 25);
        assert_eq!(Error::from_code(0, [0.0; 3]), None);
        assert_eq!(Error::from_code(Error::Gate { gate: 1 }.code(), [0.0; 3]), None);
    }

    #[test]
    fn error_is_small() {
        assert_eq!(size_of::<Result<u32>>(), 16);
    }
}
