//! The objects of the npm package `coheap`, for programs of wasm-bindgen. Also as `coheap::js`, with the feature `js`.
//!
//! Such a program has a memory of its own; what it does to the heap, JavaScript does for it. The heap comes from
//! JavaScript as an argument, or from [`SharedHeap::create`] and [`attach`], which import the package: then a bundler or
//! Node must find it. A program that calls neither imports nothing.
//!
//! ```no_run
//! use coheap_js::{Error, Heap};
//! use wasm_bindgen::prelude::*;
//!
//! #[wasm_bindgen]
//! pub fn count(heap: &Heap, text: &str) -> Result<f64, JsValue> {
//!     let words = heap.map("words")?;
//!     for word in text.split_whitespace() {
//!         words.add(word, 1.0)?;
//!     }
//!     Ok(words.size()?)
//! }
//! ```
//!
//! # Consistency
//! What JavaScript's face promises: each call is one step. None blocks but those that end in `_sync`.
//!
//! # References
//! Each object has one wrapper in its agent. Clones, and what is opened twice, are that wrapper: dropping them gives back
//! nothing, the garbage collector does, or [`SharedResource::dispose`], for all of them.
//!
//! # Errors
//! Everything that JavaScript throws is an [`Error`]; those of coheap have a [`Code`].
//!
//! # If the caller dies here
//! The program and its JavaScript are one agent: before the commit of a call nothing has happened, after it everything
//! has.

mod bytes;
mod cell;
mod code;
mod error;
mod fields;
mod heap;
mod map;
mod pipe;
mod resource;

pub use bytes::SharedBytes;
pub use cell::{BlockingCell, Outcome, SharedCell};
pub use code::Code;
pub use error::{Error, Result};
pub use fields::SharedFields;
pub use heap::{BlockingHeap, Heap, HeapToken, SharedHeap, attach};
pub use map::SharedMap;
pub use pipe::{BlockingPipe, Found, SharedPipe, Wish};
pub use resource::{Handle, SharedResource};
