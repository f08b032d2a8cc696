//! HTTP fields: calls with texts that stand in the heap, for the tests in `fields/`.
#![cfg(feature = "std")]
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

#[path = "fields/agents.rs"]
mod agents;
#[path = "fields/contract.rs"]
mod contract;
#[path = "fields/model.rs"]
mod model;

use coheap::fields::{self, Lines, Name, Text};
use coheap::{Handle, Table, Type, bytes, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Result};
use common::run;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
type Line = Result<(Name, Text)>;

/// Hands `use_texts` the pieces in the heap: at the end of the transfer buffer, or in a region of their own.
fn with_texts<R>(agent: Agent, pieces: &[&[u8]], use_texts: impl FnOnce(&[Text]) -> R) -> R {
    let memory = agent.memory();
    let padded = |piece: &&[u8]| (piece.len() as u32).next_multiple_of(8);
    let size: u32 = pieces.iter().map(padded).sum();
    let region = (size > KEPT).then(|| run(agent, |o| bytes::create(o, size)));
    let mut at = match region {
        Some(region) => run(agent, |_| bytes::all(table(agent), region).map(|(at, _)| at)),
        None => agent.transfer() + body::TRANSFER_LENGTH - size,
    };
    let place = |piece: &&[u8]| {
        memory.copy_in(at, piece);
        at += padded(piece);
        Text { memory, at: at - padded(piece), length: piece.len() as u32 }
    };
    let texts: Vec<_> = pieces.iter().map(place).collect();
    let answer = use_texts(&texts);
    if let Some(region) = region {
        let _ = run(agent, |o| release(o, region, Type::Bytes));
    }
    answer
}

/// Bytes at the end of the transfer buffer for texts.
const KEPT: u32 = 8192;

fn with_lines<R>(agent: Agent, pairs: &[(&[u8], &[u8])], use_lines: impl FnOnce(std::vec::IntoIter<Line>) -> R) -> R {
    let pieces: Vec<_> = pairs.iter().flat_map(|&(name, value)| [name, value]).collect();
    with_texts(agent, &pieces, |texts| {
        let line = |pair: &[Text]| Ok((Name::new(pair[0])?, pair[1]));
        use_lines(texts.chunks(2).map(line).collect::<Vec<_>>().into_iter())
    })
}

fn create(agent: Agent, pairs: &[(&[u8], &[u8])]) -> Handle {
    with_lines(agent, pairs, |lines| run(agent, |o| fields::create(o, lines)))
}

fn set(agent: Agent, handle: Handle, name: &[u8], values: &[&[u8]]) -> Result<()> {
    let pieces: Vec<_> = [name].iter().chain(values).copied().collect();
    with_texts(agent, &pieces, |texts| {
        agent.operation(|o| fields::set(o, handle, Name::new(texts[0])?, texts[1..].iter().copied()))
    })
}

fn append_all(agent: Agent, handle: Handle, pairs: &[(&[u8], &[u8])]) -> Result<()> {
    with_lines(agent, pairs, |lines| agent.operation(|o| fields::append(o, handle, lines)))
}

fn append(agent: Agent, handle: Handle, name: &[u8], value: &[u8]) -> Result<()> {
    append_all(agent, handle, &[(name, value)])
}

fn delete(agent: Agent, handle: Handle, name: &[u8]) -> Result<()> {
    with_texts(agent, &[name], |texts| agent.operation(|o| fields::delete(o, handle, Name::new(texts[0])?)))
}

fn get_to(agent: Agent, handle: Handle, name: &[u8], room: u32) -> Result<(Option<u32>, u32)> {
    with_texts(agent, &[name], |texts| {
        let name = Name::wanted(texts[0]);
        agent.operation(|_| fields::get(table(agent), handle, name, agent.transfer(), room))
    })
}

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

/// The joined values, by way of the transfer buffer.
fn try_get(agent: Agent, handle: Handle, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let room = body::TRANSFER_LENGTH - KEPT;
    let (got, _) = get_to(agent, handle, name, room)?;
    let Some(length) = got else { return Ok(None) };
    assert!(length <= room, "a value that fits");
    let mut value = vec![0; length as usize];
    agent.memory().copy_out(agent.transfer(), &mut value);
    Ok(Some(value))
}

fn get(agent: Agent, handle: Handle, name: &[u8]) -> Option<Vec<u8>> {
    try_get(agent, handle, name).expect("the fields are there")
}

fn has(agent: Agent, handle: Handle, name: &[u8]) -> bool {
    with_texts(agent, &[name], |texts| run(agent, |_| fields::has(table(agent), handle, Name::wanted(texts[0]))))
}

/// All lines, in pieces that fit the transfer buffer; only while nobody changes the fields.
fn entries(agent: Agent, handle: Handle) -> Pairs {
    let mut copy = Vec::new();
    loop {
        let size = run(agent, |_| {
            let copied = fields::lines(table(agent), handle, copy.len() as u32, agent.transfer(), 4096)?;
            let mut piece = vec![0; (copied.size as usize - copy.len()).min(4096)];
            agent.memory().copy_out(agent.transfer(), &mut piece);
            copy.extend(piece);
            Ok(copied.size as usize)
        });
        if copy.len() == size {
            return Lines::new(&copy).expect("lines").map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        }
    }
}

fn owned(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}
