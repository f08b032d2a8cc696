//! `post-link IN OUT [NAMED]`: makes `heap.wasm` out of the linker's module; NAMED gets the same
//! code with the names of its functions.

use std::process::ExitCode;
use std::{env, fs};

use coheap_tools::{Result, post_link::post_link};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("post-link: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output, named @ ..] = &arguments[..] else {
        return Err("usage: post-link IN OUT [NAMED]".into());
    };
    let wasm = fs::read(input).map_err(|error| format!("{input}: {error}"))?;
    let linked = post_link(&wasm).map_err(|error| format!("{input}: {error}"))?;
    fs::write(output, linked.shipped).map_err(|error| format!("{output}: {error}"))?;
    if let [named, ..] = named {
        fs::write(named, linked.named).map_err(|error| format!("{named}: {error}"))?;
    }
    Ok(())
}
