//! A pipe, against a queue of bytes with loans that come back. Whether a loan came back of an agent that died as it
//! ended it is not to be seen at once: both are possible until what is read decides.
#![no_main]

use coheap::pipe::{self, ATOMIC, Lease, Outcome, Read, SMALLEST, Source, Until};
use coheap::string::Given;
use coheap::{Handle, Objects};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Result};
use coheap_fuzz::{Ended, MOST_PAGES, Step, World, controls, run, take};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const MOST_STEPS: usize = 96;
const ROOM: u32 = body::TRANSFER_LENGTH;
const DELIMITER: &[u8] = b"\r\n";
/// A pipe refuses for lack of places when so many writes are in it, of a byte each at least.
const MOST_WRITES: usize = 127;
const MOST_MODELS: usize = 8;

#[derive(Arbitrary, Clone, Debug)]
enum Action {
    /// Some bytes, and a delimiter behind them.
    Write {
        length: u16,
        ends: bool,
    },
    Read {
        room: u16,
        tokens: bool,
    },
    Lease {
        most: u16,
        tokens: bool,
    },
    Commit(u8),
    GiveUp(u8),
    Close,
    Abort,
    /// All leave this pipe, and share another one.
    Renew,
    Replace,
}

/// What an agent has on loan.
#[derive(Clone, Debug, PartialEq)]
struct Loan {
    seat: usize,
    lease: Lease,
    bytes: Vec<u8>,
    /// What of the piece that came back was not taken again: it comes back when the loan ends, from its position on.
    rest: Vec<u8>,
}

/// Bytes that came back, and where in the stream they begin.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    position: u64,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Open,
    Closed,
    Aborted,
}

/// What a pipe is to be.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    bytes: Vec<u8>,
    /// Of the first of them.
    position: u64,
    /// By position.
    returned: Vec<Piece>,
    loans: Vec<Loan>,
    end: End,
}

impl Model {
    fn new() -> Self {
        Self { bytes: Vec::new(), position: 0, returned: Vec::new(), loans: Vec::new(), end: End::Open }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.position += count as u64;
        self.bytes.drain(..count).collect()
    }

    fn come_back(&mut self, position: u64, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.returned.push(Piece { position, bytes });
            self.returned.sort_by_key(|piece| piece.position);
        }
    }

    /// The loan ends: its bytes come back with the rest of their piece, or only that does.
    fn end_loan(&mut self, which: usize, is_used: bool) {
        let Loan { lease, bytes, rest, .. } = self.loans.swap_remove(which);
        match is_used {
            true => self.come_back(lease.position + bytes.len() as u64, rest),
            false => self.come_back(lease.position, [bytes, rest].concat()),
        }
    }

    /// The agent of the seat has none any more.
    fn lose(&mut self, seat: usize) {
        while let Some(which) = self.loans.iter().position(|loan| loan.seat == seat) {
            self.end_loan(which, false);
        }
    }

    /// What is read next: of a piece that came back, or of the stream; whole tokens as far as they fit, at its end also what has no
    /// delimiter.
    fn next(&self, room: usize, tokens: bool) -> Next<'_> {
        let piece = self.returned.first().map(|piece| &piece.bytes[..]);
        let bytes = piece.unwrap_or(&self.bytes);
        let is_whole = piece.is_some() || self.end == End::Closed;
        let fits = bytes.len().min(room);
        let ends = |length: usize| bytes[..length].ends_with(DELIMITER);
        if bytes.is_empty() {
            Next::Nothing
        } else if !tokens {
            Next::Bytes(&bytes[..fits])
        } else if let Some(length) = (1..=fits).rev().find(|&length| ends(length)) {
            Next::Bytes(&bytes[..length])
        } else if is_whole && fits == bytes.len() {
            Next::Bytes(bytes)
        } else if let Some(length) = (1..=bytes.len()).find(|&length| piece.is_none() && ends(length)) {
            Next::Long(&bytes[..length])
        } else if is_whole {
            Next::Long(bytes)
        } else {
            Next::Nothing
        }
    }

    /// What a lease takes: a token that is longer as a whole, and of a piece that came back all up to the end of its last token then.
    fn next_lease(&self, most: u32, tokens: bool) -> Next<'_> {
        let Next::Long(long) = self.next(most as usize, tokens) else { return self.next(most as usize, tokens) };
        let ends = |&length: &usize| long[..length].ends_with(DELIMITER);
        let last = (1..=long.len()).rev().find(ends).filter(|_| !self.returned.is_empty());
        Next::Bytes(&long[..last.unwrap_or(long.len())])
    }

    /// Takes so many bytes of what is next; where they were, and what is left of their piece.
    fn remove(&mut self, count: usize) -> (u64, Vec<u8>) {
        if self.returned.is_empty() {
            let position = self.position;
            self.take(count);
            return (position, Vec::new());
        }
        let Piece { position, bytes } = self.returned.remove(0);
        (position, bytes[count..].to_vec())
    }
}

enum Next<'a> {
    Bytes(&'a [u8]),
    Long(&'a [u8]),
    Nothing,
}

/// What a step answers.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Written(usize),
    Bytes(Vec<u8>),
    Long(usize),
    Wait,
    End,
    Leased(Lease, Vec<u8>),
    Closed,
    Aborted,
    /// A pipe that is full of one token.
    Full,
}

fn answer(done: Result<Answer>) -> Answer {
    match done {
        Ok(answer) => answer,
        Err(Error::PipeClosed { .. }) => Answer::Closed,
        Err(Error::PipeAborted { .. }) => Answer::Aborted,
        Err(Error::TokenTooLong { .. }) => Answer::Full,
        Err(error) => panic!("{error:?}"),
    }
}

/// A step whose parts are known: which bytes, which loan.
#[derive(Clone, Debug)]
enum Act {
    Write(Vec<u8>),
    Read { room: u32, tokens: bool },
    Lease { most: u32, tokens: bool },
    EndLoan { lease: Lease, is_used: bool },
    Close,
    Abort,
}

fn until(tokens: bool) -> Option<Until> {
    Until::new(DELIMITER).filter(|_| tokens)
}

fn act(agent: Agent, handle: Handle, act: &Act) -> Answer {
    let (to, table) = ((agent.transfer(), ROOM), &mut None);
    answer(match act {
        Act::Write(bytes) => {
            agent.operation(|o| pipe::write(o, handle, Source::Slice(bytes), false)).map(|(done, _)| match done {
                Outcome::Done(length) => Answer::Written(length as usize),
                Outcome::Wait(_) => Answer::Wait,
            })
        }
        Act::Read { room, tokens } => {
            let to = (to.0, *room);
            agent.operation(|o| pipe::read(o, handle, to, until(*tokens), table, false)).map(|(done, _)| match done {
                Outcome::Done(Read::Bytes(length)) => Answer::Bytes(take(agent, length)),
                Outcome::Done(Read::Long(length)) => Answer::Long(length as usize),
                Outcome::Done(Read::End) => Answer::End,
                Outcome::Wait(_) => Answer::Wait,
            })
        }
        Act::Lease { most, tokens } => agent
            .operation(|o| pipe::lease(o, handle, *most, until(*tokens), table, false))
            .map(|(done, _)| match done {
                Outcome::Done(Some(lease)) => {
                    run(agent, |o| pipe::lease_bytes(o, handle, lease, 0, (to.0, lease.length)));
                    Answer::Leased(lease, take(agent, lease.length))
                }
                Outcome::Done(None) => Answer::End,
                Outcome::Wait(_) => Answer::Wait,
            }),
        Act::EndLoan { lease, is_used } => {
            let end = if *is_used { pipe::commit } else { pipe::give_up };
            agent.operation(|o| end(o, handle, *lease)).map(|_| Answer::Nothing)
        }
        Act::Close => agent.operation(|o| pipe::close(o, handle)).map(|_| Answer::Nothing),
        Act::Abort => agent.operation(|o| pipe::abort(o, handle, Given::text(&[b'r'; 200]))).map(|_| Answer::Nothing),
    })
}

/// The model behind a step that answered so, if it may.
fn after(model: &Model, seat: usize, act: &Act, answer: &Answer) -> Option<Model> {
    let mut now = model.clone();
    let may_be = match (act, answer) {
        (Act::EndLoan { lease, is_used }, Answer::Nothing) => {
            let which = now.loans.iter().position(|loan| loan.seat == seat && loan.lease == *lease)?;
            now.end_loan(which, *is_used);
            true
        }
        (Act::Close, Answer::Nothing) => {
            if now.end == End::Open {
                now.end = End::Closed;
            }
            true
        }
        (Act::Abort, Answer::Nothing) => {
            now.end = End::Aborted;
            true
        }
        (_, Answer::Aborted) => now.end == End::Aborted,
        _ if now.end == End::Aborted => false,
        (Act::Write(_), Answer::Closed) => now.end == End::Closed,
        (Act::Write(bytes), Answer::Written(length)) => {
            now.bytes.extend(&bytes[..*length]);
            now.end == End::Open && (*length == bytes.len() || *length >= ATOMIC as usize)
        }
        (Act::Write(_), Answer::Wait) => {
            now.end == End::Open && (now.bytes.len() >= MOST_WRITES || now.bytes.len() >= SMALLEST as usize)
        }
        (Act::Read { room, tokens }, _) => match (now.next(*room as usize, *tokens), answer) {
            (Next::Bytes(wanted), Answer::Bytes(bytes)) if wanted == bytes => {
                let (position, rest) = now.remove(bytes.len());
                now.come_back(position + bytes.len() as u64, rest);
                true
            }
            (Next::Long(wanted), Answer::Long(length)) => wanted.len() == *length,
            (Next::Nothing, Answer::Wait) => now.end == End::Open || !now.loans.is_empty(),
            (Next::Nothing, Answer::End) => now.end == End::Closed,
            (Next::Nothing, Answer::Full) => *tokens && now.bytes.len() >= MOST_WRITES,
            _ => false,
        },
        (Act::Lease { most, tokens }, _) => match (now.next_lease(*most, *tokens), answer) {
            (Next::Bytes(wanted), Answer::Leased(lease, bytes)) if wanted == bytes => {
                let (position, rest) = now.remove(bytes.len());
                now.loans.push(Loan { seat, lease: *lease, bytes: bytes.clone(), rest });
                lease.position == position
            }
            (Next::Nothing, Answer::End) => now.end == End::Closed,
            (Next::Nothing, Answer::Full) => *tokens && now.bytes.len() >= MOST_WRITES,
            (Next::Nothing, Answer::Wait) => now.end == End::Open || !now.loans.is_empty(),
            // No more than 31 at once.
            (_, Answer::Wait) => now.loans.len() == 31,
            _ => false,
        },
        _ => false,
    };
    may_be.then_some(now)
}

/// What there may be when the agent has died in a step: nothing of it, or all.
fn after_death(model: &Model, seat: usize, act: &Act) -> Vec<Model> {
    let mut ends = vec![model.clone()];
    let mut done = model.clone();
    match act {
        _ if model.end == End::Aborted => {}
        Act::Write(_) if model.end == End::Closed => {}
        Act::Write(bytes) => {
            // How much of a long write goes in depends on the room.
            for length in
                [bytes.len(), bytes.len().min(ATOMIC as usize), SMALLEST as usize - model.bytes.len().min(4096)]
            {
                let mut done = model.clone();
                done.bytes.extend(&bytes[..length.min(bytes.len())]);
                ends.push(done);
            }
        }
        Act::Read { room, tokens } => {
            if let Next::Bytes(bytes) = done.next(*room as usize, *tokens) {
                let count = bytes.len();
                let (position, rest) = done.remove(count);
                done.come_back(position + count as u64, rest);
            }
        }
        Act::Lease { most, tokens } => {
            if let Next::Bytes(bytes) = done.next_lease(*most, *tokens) {
                let bytes = bytes.to_vec();
                let (position, rest) = done.remove(bytes.len());
                done.come_back(position, [bytes, rest].concat());
            }
        }
        Act::EndLoan { lease, is_used } => {
            if let Some(which) = done.loans.iter().position(|loan| loan.seat == seat && loan.lease == *lease) {
                done.end_loan(which, *is_used);
            }
        }
        Act::Close => done.end = End::Closed,
        Act::Abort => {}
    }
    if matches!(act, Act::Abort) {
        done.end = End::Aborted;
    }
    ends.push(done);
    ends
}

/// A pipe, and what it may be.
struct Pipe {
    handle: Handle,
    may_be: Vec<Model>,
    written: u8,
}

impl Pipe {
    fn new(world: &mut World, seat: usize) -> Self {
        let handle = run(world.agent(seat), |o| pipe::create(o, SMALLEST));
        world.share(seat, handle);
        Self { handle, may_be: vec![Model::new()], written: 0 }
    }

    fn bytes(&mut self, length: u16, ends: bool) -> Vec<u8> {
        let length = if length < 0xE000 { length % 600 } else { length % 9000 };
        let next = |_| {
            self.written = self.written.wrapping_add(1);
            self.written
        };
        let mut bytes: Vec<u8> = (0..length).map(next).collect();
        bytes.extend(DELIMITER.iter().filter(|_| ends));
        bytes
    }

    /// One of the loans of the agent, unless there is much already that only what comes back can tell.
    fn loan(&self, seat: usize, which: u8) -> Option<Lease> {
        if self.may_be.len() >= MOST_MODELS {
            return None;
        }
        let leases: Vec<_> = self.may_be[0].loans.iter().filter(|loan| loan.seat == seat).collect();
        leases.get(usize::from(which) % leases.len().max(1)).map(|loan| loan.lease)
    }

    fn act_of(&mut self, step: &Step<Action>) -> Option<Act> {
        Some(match step.operation {
            Action::Write { length, ends } => Act::Write(self.bytes(length, ends)),
            Action::Read { room, tokens } => Act::Read { room: u32::from(room % 5000) + 1, tokens },
            Action::Lease { most, tokens } => Act::Lease { most: u32::from(most % 5000) + 1, tokens },
            Action::Commit(which) => Act::EndLoan { lease: self.loan(step.seat(), which)?, is_used: true },
            Action::GiveUp(which) => Act::EndLoan { lease: self.loan(step.seat(), which)?, is_used: false },
            Action::Close => Act::Close,
            Action::Abort => Act::Abort,
            Action::Renew | Action::Replace => return None,
        })
    }

    /// Keeps what it may be after a step.
    fn keep(&mut self, may_be: Vec<Model>, what: &dyn std::fmt::Debug) {
        assert!(!may_be.is_empty(), "{what:?} cannot be, of {:?}", self.may_be);
        self.may_be.clear();
        for model in may_be {
            if !self.may_be.contains(&model) {
                self.may_be.push(model);
            }
        }
    }

    fn step(&mut self, world: &mut World, step: &Step<Action>) {
        let Some(wanted) = self.act_of(step) else { return };
        let (seat, handle) = (step.seat(), self.handle);
        match world.act(step, &mut Objects, |agent| act(agent, handle, &wanted)) {
            Ended::Done(answer) => {
                let may_be = self.may_be.iter().filter_map(|model| after(model, seat, &wanted, &answer)).collect();
                self.keep(may_be, &(&wanted, answer));
            }
            Ended::Died { reaper } => {
                let (agent, nothing) = (world.agent(seat), Act::Write(Vec::new()));
                let available = run(agent, |o| pipe::available(o, handle)) as usize;
                let end = match act(agent, handle, &nothing) {
                    Answer::Closed => End::Closed,
                    Answer::Aborted => End::Aborted,
                    _ => End::Open,
                };
                let may_be = self.may_be.iter().flat_map(|model| {
                    let mut ends = after_death(model, seat, &wanted);
                    for end in &mut ends {
                        [Some(seat), reaper].into_iter().flatten().for_each(|seat| end.lose(seat));
                    }
                    ends
                });
                let may_be = may_be.filter(|model| model.bytes.len() == available && model.end == end).collect();
                self.keep(may_be, &(&wanted, available, end));
            }
        }
    }

    /// Reads all that there is, when nobody has anything on loan any more.
    fn drain(&mut self, world: &mut World) {
        for seat in 0..3 {
            self.replace(world, seat);
        }
        for wanted in [Act::Close, Act::Read { room: ROOM, tokens: false }]
            .iter()
            .chain(std::iter::repeat(&Act::Read { room: ROOM, tokens: false }))
        {
            let answer = act(world.agent(0), self.handle, wanted);
            let may_be = self.may_be.iter().filter_map(|model| after(model, 0, wanted, &answer)).collect();
            self.keep(may_be, &(wanted, &answer));
            if matches!(answer, Answer::End | Answer::Aborted) {
                return;
            }
        }
    }

    fn replace(&mut self, world: &mut World, seat: usize) {
        world.replace(seat);
        self.may_be.iter_mut().for_each(|model| model.lose(seat));
    }
}

fuzz_target!(|steps: Vec<Step<Action>>| {
    controls();
    let mut world = World::new(MOST_PAGES);
    let before = world.audit(&mut Objects);
    let mut pipe = Pipe::new(&mut world, 0);
    for step in steps.iter().take(MOST_STEPS) {
        match step.operation {
            Action::Replace => pipe.replace(&mut world, step.seat()),
            Action::Renew => {
                world.unshare();
                pipe = Pipe::new(&mut world, step.seat());
            }
            _ => pipe.step(&mut world, step),
        }
    }
    pipe.drain(&mut world);
    world.audit(&mut Objects);
    world.end(before, &mut Objects);
});
