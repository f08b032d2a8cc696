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
//! What JavaScript's face promises: each call is one step, unless it says otherwise. None blocks but those that end in
//! `_sync`.
//!
//! # References
//! Each object has one wrapper in its agent. Clones, and what is opened twice, are that wrapper: dropping them gives back
//! nothing, the garbage collector does, or [`SharedResource::dispose`], for all of them. A [`Lease`] is no wrapper: dropping
//! it gives its bytes back; and dropping a [`Listening`] ends it.
//!
//! # Types
//! Values of maps and lists, what handles name and what [`Heap::copy_of`] makes are of any type: `dyn_into` of `JsCast` makes
//! them what they are, and fails for what they are not.
//!
//! | JavaScript | here |
//! |---|---|
//! | `SharedCell`, `BlockingCell` | [`SharedCell`], [`BlockingCell`] |
//! | `SharedBytes` | [`SharedBytes`] |
//! | `SharedFields` | [`SharedFields`] |
//! | `SharedList` | [`SharedList`] |
//! | `SharedMap` | [`SharedMap`] |
//! | `SharedPipe`, `BlockingPipe` | [`SharedPipe`], [`BlockingPipe`] |
//! | `SharedLease` | [`Lease`] |
//! | options | arguments, and [`Wish`] for what a read takes |
//! | `AbortSignal` | the future: what waits ends when it is dropped |
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
mod death;
mod error;
mod fields;
mod given;
mod heap;
mod lease;
mod list;
mod map;
mod pipe;
mod resource;
mod wait;

pub use bytes::SharedBytes;
pub use cell::{BlockingCell, Outcome, SharedCell};
pub use code::Code;
pub use death::{AgentLost, Listening, Recovery};
pub use error::{Error, Result};
pub use fields::SharedFields;
pub use heap::{BlockingHeap, Heap, HeapToken, SharedHeap, attach};
pub use lease::Lease;
pub use list::SharedList;
pub use map::SharedMap;
pub use pipe::{BlockingPipe, Found, SharedPipe, Wish};
pub use resource::{Handle, SharedResource};
