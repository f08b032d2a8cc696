//! `call-graph MODULE [--stack BYTES] [--json]`: proves that the stacks of a post-linked module fit.
//! Prints what it found; fails when the module recurses, waits, calls through a table, or goes
//! deeper than its stacks.

use std::process::ExitCode;
use std::{env, fs};

use coheap_tools::Result;
use coheap_tools::call_graph::{Limits, call_graph};

fn main() -> ExitCode {
    match run() {
        Ok(violations) if violations.is_empty() => ExitCode::SUCCESS,
        Ok(violations) => {
            for violation in violations {
                eprintln!("call-graph: {violation}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("call-graph: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Vec<String>> {
    let usage = "usage: call-graph MODULE [--stack BYTES] [--json]";
    let mut limits = Limits::default();
    let mut json = false;
    let mut module = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--stack" => {
                limits.stack = arguments.next().and_then(|bytes| bytes.parse().ok()).ok_or(usage)?;
            }
            _ if module.is_none() && !argument.starts_with('-') => module = Some(argument),
            _ => return Err(usage.into()),
        }
    }
    let module = module.ok_or(usage)?;
    let wasm = fs::read(&module).map_err(|error| format!("{module}: {error}"))?;
    let report = call_graph(&wasm, &limits).map_err(|error| format!("{module}: {error}"))?;
    if json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(report.violations)
}
