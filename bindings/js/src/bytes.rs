//! A region of bytes.

use wasm_bindgen::prelude::*;

use crate::resource::has;
use crate::{Result, SharedResource};

#[wasm_bindgen]
extern "C" {
    /// A fixed number of bytes that every agent reads and writes. A range of them is no unit: another agent may write in
    /// between.
    #[wasm_bindgen(extends = SharedResource, is_type_of = |value| has(value, "sum"))]
    #[derive(Clone, Debug)]
    pub type SharedBytes;

    /// How many bytes.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached), as of every call.
    #[wasm_bindgen(method, getter, catch)]
    pub fn length(this: &SharedBytes) -> Result<f64>;

    /// A copy of `length` bytes from `offset`.
    ///
    /// # Errors
    /// [`Code::OutOfRange`](crate::Code::OutOfRange).
    #[wasm_bindgen(method, catch)]
    pub fn read(this: &SharedBytes, offset: f64, length: f64) -> Result<Vec<u8>>;

    /// Copies bytes to `offset`.
    ///
    /// # Errors
    /// [`Code::OutOfRange`](crate::Code::OutOfRange): nothing is written.
    #[wasm_bindgen(method, catch)]
    pub fn write(this: &SharedBytes, offset: f64, source: &[u8]) -> Result<()>;

    /// The sum of `length` bytes from `offset`, in place.
    ///
    /// # Errors
    /// [`Code::OutOfRange`](crate::Code::OutOfRange).
    #[wasm_bindgen(method, catch)]
    pub fn sum(this: &SharedBytes, offset: f64, length: f64) -> Result<f64>;
}
