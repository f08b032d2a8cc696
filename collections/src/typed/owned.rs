//! What every structure of the typed face has: an agent, and its reference to an object.

use core::fmt;

use super::Agent;
use crate::{Handle, Type};

/// An agent's reference to an object. Given back when it is dropped, unless the agent opened the object again.
pub struct Owned {
    agent: Agent,
    handle: Handle,
    kind: Type,
}

impl Owned {
    pub(super) fn new(agent: Agent, handle: Handle, kind: Type) -> Self {
        Self { agent, handle, kind }
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.agent.close(self.handle, self.kind);
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}.{}", self.kind, self.handle.index, self.handle.generation)
    }
}
