//! The limited network of a view: a proxy to the listed hosts, and ports of this machine.
//!
//! The program's network is loopback alone. autopack accepts connections on two kinds of ports there, and serves them
//! in autopack's own process: the proxy (`proxy`), and the services in `sandbox.ports` (`port_forward`).
//! `proxy_environment` points programs at the proxy; a program ignoring the proxy has no network.
//!
//! The proxy checks, in this order:
//!
//! 1. The host and port of `CONNECT` or of the URL, in their single normal form (`host_name`), against the list
//!    (`host_list`).
//! 2. The addresses of the name, resolved once by autopack: private ones are refused (`public_address`), unless
//!    the list names them.
//! 3. The first bytes of a tunnel (`tunnel`): TLS for exactly this host (`tls_server_name`), or a single HTTP request
//!    for this host. Other protocols need the host listed with the port.
//! 4. Each HTTP request, strictly (`http_request`); the body by the framing (`http_relay`).
//!
//! The content of TLS stays unknown. A listed host forwarding requests for others, as content delivery networks do, is
//! a way out.

pub mod host_list;
pub mod host_name;

mod host_connection;
mod http_relay;
mod http_request;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod own_services;
mod port_forward;
mod proxy;
mod proxy_environment;
mod public_address;
mod refusals;
mod tls_server_name;
mod tunnel;
mod upstream_proxy;

use std::net;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use self::host_connection::Dialer;
pub use self::host_list::HostList;
pub use self::own_services::parse_hosts;
use self::proxy::Proxy;
use self::refusals::Refusals;
pub use self::refusals::{RefusalReason, RefusedHost, describe_refused};
pub use self::upstream_proxy::UpstreamProxies;
use crate::process::child_env::Env;

/// Most connections at a time on each port; more wait.
const MAX_CONNECTIONS: usize = 256;
/// Pause after a failure to accept a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// First choice for the proxy's port in a separate network, below the ports handed out by systems.
const PROXY_PORT: u16 = 20_080;

/// Serves the limited network of a job. Dropping it closes all connections and listeners.
pub struct NetworkGuard {
    proxy: Arc<Proxy>,
    refusals: Arc<Refusals>,
    proxy_port: u16,
    ports: Vec<u16>,
    runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

impl NetworkGuard {
    /// Creates a guard with direct connections to hosts. `ports` are the ports of `sandbox.ports`. In landlock mode
    /// there are none to serve, because the program shares the machine's loopback.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn new(list: HostList, proxy_port: u16, ports: &[u16]) -> Arc<Self> {
        Self::with_upstream(list, proxy_port, ports, UpstreamProxies::default())
    }

    /// Creates a guard with connections to hosts through the proxies given to autopack itself.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn with_upstream(
        list: HostList,
        proxy_port: u16,
        ports: &[u16],
        upstream: UpstreamProxies,
    ) -> Arc<Self> {
        let list = Arc::new(list);
        let dialer = Dialer::new(Arc::clone(&list), upstream);
        Self::with_dialer(list, dialer, proxy_port, ports)
    }

    fn with_dialer(
        list: Arc<HostList>,
        dialer: Dialer,
        proxy_port: u16,
        ports: &[u16],
    ) -> Arc<Self> {
        let refusals = Arc::new(Refusals::default());
        let mut ports = ports.to_vec();
        ports.sort_unstable();
        ports.dedup();
        Arc::new(Self {
            proxy: Arc::new(Proxy::new(list, dialer, Arc::clone(&refusals))),
            refusals,
            proxy_port,
            ports,
            runtime: Handle::current(),
            tasks: Mutex::default(),
        })
    }

    /// Serves listening sockets, each with the port that the socket stands for: the proxy's, or a port of
    /// `sandbox.ports`. Others are closed. May be called from any thread, once for each job.
    ///
    /// A listener for a port of `sandbox.ports` must be in a separate network namespace. On the machine's loopback, the
    /// listener would be the very service to forward to.
    pub fn serve(&self, listeners: Vec<(u16, net::TcpListener)>) {
        let _context = self.runtime.enter();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for (port, listener) in listeners {
            let prepared =
                listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
            let Ok(listener) = prepared else { continue };
            if port == self.proxy_port {
                let proxy = Arc::clone(&self.proxy);
                let serve = move |client| {
                    let proxy = Arc::clone(&proxy);
                    async move { proxy.serve(client).await }
                };
                tasks.spawn(accept(listener, serve));
            } else if self.ports.contains(&port) {
                let serve = move |client| async move {
                    let _ = port_forward::forward(client, port).await;
                };
                tasks.spawn(accept(listener, serve));
            }
        }
    }

    /// Returns the refused hosts so far, the most refused first.
    pub fn refused(&self) -> Vec<RefusedHost> {
        self.refusals.hosts()
    }

    /// Returns the variables directing programs to the proxy.
    pub fn environment(&self) -> Vec<(String, String)> {
        proxy_environment::variables(self.proxy_port)
    }

    /// Returns the variables for Maven, Gradle and sbt. Options already in `inherited` are kept.
    pub fn jvm_environment(&self, inherited: &Env) -> Vec<(String, String)> {
        proxy_environment::jvm_variables(self.proxy_port, inherited)
    }

    /// Returns the ports to listen on: the proxy's first, then `sandbox.ports`.
    pub fn ports(&self) -> Vec<u16> {
        let forwarded = self.ports.iter().copied().filter(|&port| port != self.proxy_port);
        [self.proxy_port].into_iter().chain(forwarded).collect()
    }

    /// Chooses a port for the proxy in a separate network, outside `sandbox.ports`.
    pub fn choose_proxy_port(ports: &[u16]) -> u16 {
        let mut candidates = PROXY_PORT..=u16::MAX;
        candidates.find(|port| !ports.contains(port)).unwrap_or(PROXY_PORT)
    }
}

/// Accepts connections for ever, and ends them when dropped.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((client, _)) => {
                connections.spawn(serve(client));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
