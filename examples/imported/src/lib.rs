//! Counts words in the map `words`, of the lines in the map `lines`, beside other instances that do the same.

use coheap::imported::{Cell, Map, Result, Str, agent};

/// Takes line after line, as long as there is one that nobody has taken. Answers how many it took, or −1.
#[unsafe(no_mangle)]
extern "C" fn count() -> f64 {
    take_lines().unwrap_or(-1.0)
}

fn take_lines() -> Result<f64> {
    let agent = agent()?;
    let lines: Map<u32, Str> = agent.map("lines")?;
    let words: Map<Str, f64> = agent.map("words")?;
    let next: Cell<u32> = agent.cell("next")?;
    let mut taken = 0.0;
    while let Some(line) = lines.get(next.add(1)? - 1)? {
        for word in line.split(|character: char| !character.is_alphabetic()).filter(|word| !word.is_empty()) {
            words.add(&word.to_lowercase(), 1.0)?;
        }
        taken += 1.0;
    }
    Ok(taken)
}
