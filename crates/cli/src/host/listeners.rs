//! Listeners, bound before anything is started, with errors that say what to do.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::Error;

/// Binds an address; port 0 takes a free one.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Error::input(
            format!("{address} is taken: another program listens there"),
            "give another port, or stop that program (`ss -ltnp` names it)",
        ),
        _ => Error::input(format!("cannot listen at {address}: {error}"), ""),
    })
}

/// The address of a listener, as clients write it.
pub(super) fn uri(listener: &TcpListener) -> Result<String, Error> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// The admin address that belongs to a service's: the port above by 1000.
pub(super) fn admin_of(address: SocketAddr) -> Result<SocketAddr, Error> {
    match address.port().checked_add(1_000) {
        _ if address.port() == 0 => Ok(address),
        Some(port) => Ok(SocketAddr::new(address.ip(), port)),
        None => Err(Error::input(
            format!("the admin port of {address} would lie above 65535"),
            "give --admin ADDRESS, or --admin off",
        )),
    }
}
