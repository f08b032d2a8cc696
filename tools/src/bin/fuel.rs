//! `fuel IN OUT`: from `heap.wasm` a module that counts the rounds of its loops, for the tests. Prints how many loops there are.

use std::process::ExitCode;
use std::{env, fs};

use coheap_tools::{Result, fuel::fuel};

fn main() -> ExitCode {
    match run() {
        Ok(loops) => {
            println!("{loops}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fuel: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output] = &arguments[..] else {
        return Err("usage: fuel IN OUT".into());
    };
    let wasm = fs::read(input).map_err(|error| format!("{input}: {error}"))?;
    let fuelled = fuel(&wasm).map_err(|error| format!("{input}: {error}"))?;
    fs::write(output, fuelled.wasm).map_err(|error| format!("{output}: {error}"))?;
    Ok(fuelled.loops)
}
