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
        ErrorKind::AddrNotAvailable => Error::input(
            format!("cannot listen at {address}: this host has no such address"),
            "give one of its own (`ip address` shows them), or 0.0.0.0 for all",
        ),
        ErrorKind::PermissionDenied => Error::input(
            format!("cannot listen at {address}: this user may not take ports below 1024"),
            "give a port above, or the capability CAP_NET_BIND_SERVICE",
        ),
        _ => Error::input(format!("cannot listen at {address}: {error}"), ""),
    })
}

/// The address of a listener, as clients write it.
pub(super) fn uri(listener: &TcpListener) -> Result<String, Error> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Where other hosts reach a listener: one on all addresses is reached at this host's name.
pub(super) async fn reachable(listener: &TcpListener) -> Result<String, Error> {
    let local = listener.local_addr()?;
    if !local.ip().is_unspecified() {
        return Ok(format!("http://{local}"));
    }
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let found = tokio::net::lookup_host((&*name, local.port())).await;
    let found: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.map(|address| format!("http://{address}")).ok_or_else(|| {
        Error::input(
            format!("the name of this host, {name}, has no address, so others cannot reach it"),
            "give --listen an address of this host instead of all of them",
        )
    })
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
