//! Services of this machine (`sandbox.ports`), reachable from inside a view on the same port.

use std::io;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::host_connection::connect_locally;

/// Relays a connection to a port of this machine until both ends are done. The client's connection is reset if
/// nothing listens there.
///
/// # Errors
///
/// Fails if the connection breaks.
pub async fn forward(mut client: TcpStream, port: u16) -> io::Result<()> {
    match connect_locally(port).await {
        Ok(mut service) => {
            client.set_nodelay(true)?;
            copy_bidirectional(&mut client, &mut service).await?;
            Ok(())
        }
        Err(_) => client.set_zero_linger(),
    }
}
