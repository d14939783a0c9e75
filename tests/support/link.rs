//! A TCP relay in front of a server: the network between a host and the server, which a test can cut and watch.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// How a cut network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Connections break, and new ones are closed at once.
    Refused,
    /// Nothing arrives and no connection breaks. All bytes arrive after the outage.
    Silent,
}

/// What happens to bytes that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Pass,
    /// The bytes arrive, and the connection breaks before the answer.
    BreakAfter,
}

/// Sees the bytes of one connection that its client sends; may block.
pub type Watch = Box<dyn FnMut(&[u8]) -> Passage + Send>;

pub struct Link {
    at: SocketAddr,
    network: Arc<Network>,
}

struct Network {
    state: Mutex<State>,
    mended: Condvar,
    watch: Box<dyn Fn() -> Watch + Send + Sync>,
}

#[derive(Default)]
struct State {
    outage: Option<Outage>,
    is_over: bool,
    /// Both ends of each connection.
    open: HashMap<u64, [TcpStream; 2]>,
    connections: u64,
}

impl Link {
    /// A link to a port of this machine.
    pub fn to(server: u16) -> Self {
        Self::watched(server, || Box::new(|_| Passage::Pass))
    }

    /// The same; `watch` is called for each connection.
    pub fn watched(server: u16, watch: impl Fn() -> Watch + Send + Sync + 'static) -> Self {
        Self::listening(Ipv4Addr::LOCALHOST.into(), server, watch)
    }

    /// The same, at another address of this machine.
    pub fn listening(
        address: IpAddr,
        server: u16,
        watch: impl Fn() -> Watch + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let (state, mended) = Default::default();
        let network = Arc::new(Network { state, mended, watch: Box::new(watch) });
        let shared = Arc::clone(&network);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.lock().is_over {
                    return;
                }
                let network = Arc::clone(&shared);
                std::thread::spawn(move || network.carry(client, server));
            }
        });
        Self { at, network }
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// Cuts the network until [`Self::mend`].
    pub fn cut(&self, outage: Outage) {
        let mut state = self.network.lock();
        state.outage = Some(outage);
        if outage == Outage::Refused {
            state.open.values().flatten().for_each(break_off);
        }
    }

    pub fn mend(&self) {
        self.network.lock().outage = None;
        self.network.mended.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.network.lock().is_over = true;
        self.mend();
        drop(TcpStream::connect(self.at));
    }
}

impl Network {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits for the end of a silence. `false`: connections are refused.
    fn is_passable(&self) -> bool {
        let silent = |state: &mut State| state.outage == Some(Outage::Silent);
        self.mended.wait_while(self.lock(), silent).unwrap().outage.is_none()
    }

    fn carry(&self, client: TcpStream, server: u16) {
        if !self.is_passable() {
            return;
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { return };
        let ends = [&client, &server].map(|end| end.try_clone().unwrap());
        let number = {
            let mut state = self.lock();
            if state.outage == Some(Outage::Refused) {
                return;
            }
            state.connections += 1;
            let number = state.connections;
            state.open.insert(number, ends);
            number
        };
        std::thread::scope(|scope| {
            scope.spawn(|| self.pass_on(&server, &client, &mut |_| Passage::Pass));
            self.pass_on(&client, &server, &mut *(self.watch)());
        });
        self.lock().open.remove(&number);
    }

    fn pass_on(
        &self,
        mut from: &TcpStream,
        mut to: &TcpStream,
        watch: &mut dyn FnMut(&[u8]) -> Passage,
    ) {
        let mut bytes = [0; 65536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let passage = watch(&bytes[..count]);
            if passage == Passage::BreakAfter {
                break_off(from);
            }
            // A broken connection refuses the bytes itself.
            self.is_passable();
            if to.write_all(&bytes[..count]).is_err() || passage == Passage::BreakAfter {
                break;
            }
        }
        self.is_passable();
        break_off(from);
        break_off(to);
    }
}

fn break_off(end: &TcpStream) {
    let _ = end.shutdown(Shutdown::Both);
}
