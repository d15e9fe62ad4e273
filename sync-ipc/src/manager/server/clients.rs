//! The clients of a server, and their sessions.

use std::collections::HashMap;
use std::sync::Arc;

use sync_core::Mutex;

use super::super::wire::{Refusal, TOKEN};
use super::monitor::{Holdings, Session};
use super::store::{Deferred, Ref, Registry};

/// A client: all connections of one handle of a process.
///
/// It ends with its first connection, which the process keeps for as long as it has the handle.
pub(super) struct Client {
    pub(super) token: [u8; TOKEN],
    pub(super) holdings: Arc<Holdings>,
    state: Mutex<State>,
}

struct State {
    /// The objects of which it has proxies, with their number; `None` after its end.
    proxies: Option<HashMap<u64, (Ref, u64)>>,
    sessions: Vec<Arc<Session>>,
}

impl Client {
    pub(super) fn new(number: u64, token: [u8; TOKEN]) -> Arc<Self> {
        let state = State { proxies: Some(HashMap::new()), sessions: Vec::new() };
        Arc::new(Self { token, holdings: Holdings::new(number), state: Mutex::new(state) })
    }

    /// One more proxy of this object.
    pub(super) fn retain(&self, object: &Ref) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let proxies = state.proxies.as_mut().ok_or(Refusal::Interrupted)?;
        proxies.entry(object.id).or_insert_with(|| (object.clone(), 0)).1 += 1;
        Ok(())
    }

    /// One proxy of this object less.
    pub(super) fn release(&self, object: u64) {
        let mut last = None;
        if let Some(proxies) = &mut self.state.lock().proxies {
            if let Some((_, count)) = proxies.get_mut(&object) {
                *count -= 1;
                if *count == 0 {
                    last = proxies.remove(&object);
                }
            }
        }
        drop(last);
    }

    /// Adds a session; `false` if the client has ended.
    pub(super) fn join(&self, session: &Arc<Session>) -> bool {
        let mut state = self.state.lock();
        if state.proxies.is_none() {
            return false;
        }
        state.sessions.push(Arc::clone(session));
        true
    }

    pub(super) fn leave(&self, session: &Session) {
        self.state.lock().sessions.retain(|other| other.number != session.number);
    }

    /// Its end: its other sessions end, and what it holds is released.
    pub(super) fn end(&self, registry: &Registry) {
        let _scope = Deferred::begin();
        let (sessions, proxies) = {
            let mut state = self.state.lock();
            (core::mem::take(&mut state.sessions), state.proxies.take())
        };
        for session in sessions {
            session.end();
        }
        // The proxies go after this: an object that only this client has is released too, and ends.
        for object in self.holdings.end() {
            if let Ok(object) = registry.find(object) {
                object.served().client_ended(self.holdings.client);
            }
        }
        drop(proxies);
    }
}
