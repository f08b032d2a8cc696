//! `accesses IN OUT`: from `heap.wasm` a module that says what it reads and writes, for the tests.

use std::process::ExitCode;

use coheap_tools::accesses::accesses;
use coheap_tools::program::transform;

fn main() -> ExitCode {
    transform("accesses", |wasm| accesses(wasm).map(|made| (made.wasm, made.places)))
}
