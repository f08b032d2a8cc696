//! Atoms: strings that have a number. Their texts (units below 256, a byte each) cross in the transfer buffer.

use coheap::atom::{self, LONGEST};
use coheap::wait::Wake;
use coheap_alloc::Agent;

use crate::call::{Status, change, detail, table};
use crate::seat::agent;

/// Puts the fixed atoms into the transfer buffer, one a line, in the order of their numbers; answers how many bytes.
/// Reads nothing of the heap.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_atoms_fixed() -> u32 {
    let agent = agent();
    agent.memory().copy_in(agent.transfer(), atom::fixed().as_bytes());
    atom::fixed().len() as u32
}

fn text(agent: Agent, length: u32, into: &mut [u8; LONGEST]) -> Option<&[u8]> {
    let text = into.get_mut(..length as usize)?;
    agent.memory().copy_out(agent.transfer(), text);
    Some(text)
}

/// Puts the text of an atom into the transfer buffer and answers its length; 0: there is no such atom.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_atom_text(atom: u32) -> u32 {
    let agent = agent();
    let mut copy = [0; LONGEST];
    // Texts are never freed, so looking for one is no operation.
    let Some(length) = atom::text(table(agent), atom, &mut copy) else { return 0 };
    agent.memory().copy_in(agent.transfer(), copy.get(..length).unwrap_or_default());
    length as u32
}

/// Detail 0: the atom of the text in the transfer buffer, made if there is none; or −1: it can have none. Error:
/// `CORRUPT`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_atom_intern(length: u32) -> Status {
    change(|agent, operation| {
        let mut copy = [0; LONGEST];
        let found = match text(agent, length, &mut copy) {
            Some(text) => atom::intern(operation, text)?,
            None => None,
        };
        detail(agent, 0, found.map_or(-1.0, f64::from));
        Ok(Wake::NONE)
    })
}
