//! One upstream connection that is opened when it is needed, and again after it was lost.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::Shared;

use super::connection::{Call, Connection, Over};
use super::dialer::{DialError, Dialer, Dialing};
use crate::routes::Method;

#[derive(Debug)]
pub(crate) struct Lane {
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Idle,
    /// Everybody who needs the connection waits for the same attempt and shares its outcome.
    Dialing(Shared<Dialing>),
    Open(Arc<Connection>),
}

impl Lane {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, state: Mutex::new(State::Idle) }
    }

    /// Whether nobody answers on the connection that stands.
    pub(crate) fn is_silent(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(&*state, State::Open(connection) if connection.is_silent())
    }

    /// A place for one call; nothing if the connection carries all it may. A connection that
    /// turns out to be over is replaced once.
    pub(crate) async fn open(
        &self,
        dialer: &Dialer,
        method: &Method,
    ) -> Result<Option<Call>, DialError> {
        let dialing = match self.standing(dialer) {
            Ok(connection) => match connection.open(method) {
                Ok(place) => return Ok(place),
                Err(Over) => self.replace(&connection, dialer),
            },
            Err(dialing) => dialing,
        };
        let outcome = dialing.clone().await;
        let connection = self.settle(&dialing, outcome)?;
        connection.open(method).map_err(|Over| {
            let why = "the connection ended at once".into();
            DialError::Connect { address: self.address, why }
        })
    }

    /// The connection that stands, or the attempt to have one.
    fn standing(&self, dialer: &Dialer) -> Result<Arc<Connection>, Shared<Dialing>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(connection) => return Ok(Arc::clone(connection)),
            State::Dialing(dialing) => return Err(dialing.clone()),
            State::Idle => {}
        }
        let dialing = dialer.dial(self.address).shared();
        *state = State::Dialing(dialing.clone());
        Err(dialing)
    }

    /// A new attempt, unless somebody has replaced the old connection already.
    fn replace(&self, old: &Arc<Connection>, dialer: &Dialer) -> Shared<Dialing> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Dialing(dialing) => return dialing.clone(),
            State::Open(connection) if !Arc::ptr_eq(connection, old) => {
                let connection = Arc::clone(connection);
                let ready: Dialing = Box::pin(std::future::ready(Ok(connection)));
                return ready.shared();
            }
            _ => {}
        }
        let dialing = dialer.dial(self.address).shared();
        *state = State::Dialing(dialing.clone());
        dialing
    }

    fn settle(
        &self,
        dialing: &Shared<Dialing>,
        outcome: Result<Arc<Connection>, DialError>,
    ) -> Result<Arc<Connection>, DialError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*state, State::Dialing(current) if current.ptr_eq(dialing)) {
            *state = match &outcome {
                Ok(connection) => State::Open(Arc::clone(connection)),
                Err(_) => State::Idle,
            };
        }
        outcome
    }
}
