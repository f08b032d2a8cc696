//! Strings through wasm-bindgen's own glue, into a shared memory and out of it.

// The `std` that comes with stable Rust keeps no thread-local storage here, and without any wasm-bindgen's start traps.
#![feature(thread_local)]

use std::cell::RefCell;
use wasm_bindgen::prelude::wasm_bindgen;

#[thread_local]
static TEXT: RefCell<String> = RefCell::new(String::new());

/// Keeps `text` and drops what was kept before.
#[wasm_bindgen]
pub fn keep(text: String) {
    TEXT.replace(text);
}

/// A copy of what is kept: the glue wants it owned, and drops it.
#[wasm_bindgen]
pub fn kept() -> String {
    TEXT.borrow().clone()
}
