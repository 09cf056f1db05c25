//! A link between two addresses that can be cut: everything that TCP carries goes through, until
//! somebody says otherwise.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::Error;

const BUFFER_BYTES: usize = 16 * 1024;
const CONNECT_MS_MAX: u64 = 1_000;
/// After a failed accept.
const PAUSE_MS: u64 = 20;

/// What a link does with what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing is cut.
    Open,
    /// Nothing arrives any more; nobody is told. What was held arrives when it is open again.
    Blackhole,
    /// Connections are reset, and new ones at once.
    Reset,
}

/// A link; cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where it listens.
    pub front: SocketAddr,
    /// Where it leads.
    pub back: SocketAddr,
    state: Arc<watch::Sender<Cut>>,
    hits: Arc<AtomicU64>,
}

impl Link {
    /// Opens it. It lives as long as the runtime.
    ///
    /// # Errors
    /// Its address is taken.
    pub async fn open(front: SocketAddr, back: SocketAddr) -> Result<Self, Error> {
        let taken = |error| Error::Failed(format!("cannot listen at {front}: {error}"));
        let listener = TcpListener::bind(front).await.map_err(taken)?;
        let state = Arc::new(watch::Sender::new(Cut::Open));
        let link = Self { front, back, state, hits: Arc::default() };
        tokio::spawn(link.clone().accept(listener));
        Ok(link)
    }

    /// Cuts it, or opens it again.
    pub fn set(&self, cut: Cut) {
        self.state.send_replace(cut);
    }

    /// How often a cut met something: a connection that was reset, refused or held back.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) if *self.state.borrow() == Cut::Reset => {
                    self.hit();
                    reset(&stream);
                }
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().carry(stream));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await,
            }
        }
    }

    async fn carry(self, client: TcpStream) {
        let mut state = self.state.subscribe();
        // A cut link does not reach the other side either.
        if !self.passes(&mut state).await {
            return reset(&client);
        }
        let connect = TcpStream::connect(self.back);
        let connected = tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), connect).await;
        // Whoever refuses there, refuses here.
        let Ok(Ok(server)) = connected else { return reset(&client) };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (mut client, mut server) = (client, server);
        if matches!(self.exchange(&mut client, &mut server).await, Done::Broken) {
            reset(&client);
            reset(&server);
        }
    }

    /// Copies both directions until both have ended or one is broken.
    async fn exchange(&self, client: &mut TcpStream, server: &mut TcpStream) -> Done {
        // Halves that are borrowed: those that are owned say an orderly end when they are dropped.
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut up = pin!(self.pump(from_client, to_server));
        let mut down = pin!(self.pump(from_server, to_client));
        let first = tokio::select! {
            done = &mut up => (done, true),
            done = &mut down => (done, false),
        };
        match first {
            (Done::Broken, _) => Done::Broken,
            (Done::Ended, true) => down.await,
            (Done::Ended, false) => up.await,
        }
    }

    /// Copies one direction. At the end of the stream the other side is told so; a broken one is
    /// broken for both.
    async fn pump(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Done {
        let mut state = self.state.subscribe();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                _ = state.wait_for(|cut| *cut == Cut::Reset) => {
                    self.hit();
                    return Done::Broken;
                }
            };
            if !self.passes(&mut state).await {
                return Done::Broken;
            }
            match read {
                Ok(0) => {
                    let _ = to.shutdown().await;
                    return Done::Ended;
                }
                Ok(count) if to.write_all(&buffer[..count]).await.is_ok() => (),
                Ok(_) | Err(_) => return Done::Broken,
            }
        }
    }

    /// Waits while the link is a black hole; whether it is open then.
    async fn passes(&self, state: &mut watch::Receiver<Cut>) -> bool {
        if *state.borrow() == Cut::Open {
            return true;
        }
        self.hit();
        // The sender lives in self.
        let cut = state.wait_for(|cut| *cut != Cut::Blackhole).await;
        cut.is_ok_and(|cut| *cut == Cut::Open)
    }
}

/// How one direction of a connection ended.
enum Done {
    Ended,
    Broken,
}

/// Has the connection end with a reset when it is dropped.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends everything back, and a link to it.
    async fn echo() -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let back = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        Link::open(free, back).await.unwrap()
    }

    async fn said(stream: &mut TcpStream) -> Option<std::io::Result<usize>> {
        let mut buffer = [0; 16];
        let read = stream.read(&mut buffer);
        tokio::time::timeout(Duration::from_millis(200), read).await.ok()
    }

    #[tokio::test]
    async fn a_black_hole_holds_everything_and_lets_it_go() {
        let link = echo().await;
        let mut stream = TcpStream::connect(link.front).await.unwrap();
        stream.write_all(b"one").await.unwrap();
        assert_eq!(said(&mut stream).await.unwrap().unwrap(), 3);
        link.set(Cut::Blackhole);
        stream.write_all(b"three").await.unwrap();
        assert!(said(&mut stream).await.is_none());
        assert!(link.hits() > 0);
        link.set(Cut::Open);
        assert_eq!(said(&mut stream).await.unwrap().unwrap(), 5);
    }

    #[tokio::test]
    async fn a_reset_ends_what_is_open_and_refuses_what_is_new() {
        let link = echo().await;
        let mut stream = TcpStream::connect(link.front).await.unwrap();
        stream.write_all(b"one").await.unwrap();
        assert_eq!(said(&mut stream).await.unwrap().unwrap(), 3);
        link.set(Cut::Reset);
        assert!(said(&mut stream).await.unwrap().is_err());
        let mut late = TcpStream::connect(link.front).await.unwrap();
        assert!(said(&mut late).await.unwrap().is_err());
        link.set(Cut::Open);
        let mut stream = TcpStream::connect(link.front).await.unwrap();
        stream.write_all(b"one").await.unwrap();
        assert_eq!(said(&mut stream).await.unwrap().unwrap(), 3);
    }
}
