//! `fuel IN OUT`: from `heap.wasm` a module that counts the rounds of its loops, for the tests. Prints how many loops there are.

use std::process::ExitCode;

use coheap_tools::fuel::fuel;
use coheap_tools::program::transform;

fn main() -> ExitCode {
    transform("fuel", |wasm| fuel(wasm).map(|made| (made.wasm, made.loops)))
}
