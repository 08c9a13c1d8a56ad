//! The connection to the helper. In a tunnel xdg-dbus-proxy(1) stands before the system bus, and until its version 0.1.6 it loses a client that goes on before its
//! greeting is answered, as zbus does: then somebody between the two takes turns. Threads that pass bytes and descriptors on live as long as the connection.

use std::{
    env,
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    net::Shutdown,
    os::{fd::AsFd as _, unix::net::UnixStream},
    thread,
    time::Duration,
};

use lonewire_api::{ApiError, CALL_TIMEOUT, Client, names::TUNNEL_VARIABLE};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use zbus::{Connection, connection::Builder};

/// Where the system bus listens where nothing else is said (D-Bus specification).
const DEFAULT: &str = "unix:path=/var/run/dbus/system_bus_socket";

/// Descriptors that a message may have: more than the bus passes on (16).
const DESCRIPTORS: usize = 64;

/// A greeting is shorter, and its last line is this.
const MOST_GREETING: usize = 4096;
const BEGIN: &[u8] = b"BEGIN\r\n";

/// A client of the helper.
///
/// # Errors
/// `BusMissing`.
pub async fn client() -> Result<Client, ApiError> {
    Client::with_connection(connection(CALL_TIMEOUT).await?).await
}

/// A connection to the system bus whose calls take no longer than this.
///
/// # Errors
/// The bus cannot be reached.
pub async fn connection(patience: Duration) -> zbus::Result<Connection> {
    let builder = match env::var_os(TUNNEL_VARIABLE).and_then(|_| path()) {
        Some(path) => Builder::unix_stream(through(&path)?),
        None => Builder::system(),
    };
    builder.method_timeout(patience).build().await
}

/// The path of the bus's socket; `None` where its address is of another kind.
fn path() -> Option<String> {
    let address = env::var("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|_| DEFAULT.to_owned());
    let path = address.strip_prefix("unix:path=")?;
    let is_plain = !path.contains([',', ';', '%']);
    is_plain.then(|| path.to_owned())
}

/// A connection to a bus that is greeted line by line.
fn through(path: &str) -> io::Result<UnixStream> {
    let bus = UnixStream::connect(path)?;
    let (ours, theirs) = UnixStream::pair()?;
    thread::spawn(move || {
        if greet(&theirs, &bus).is_err() {
            let _ = (
                theirs.shutdown(Shutdown::Both),
                bus.shutdown(Shutdown::Both),
            );
            return;
        }
        thread::scope(|scope| {
            scope.spawn(|| carry(&theirs, &bus));
            carry(&bus, &theirs);
        });
    });
    Ok(ours)
}

/// Passes the greeting on (D-Bus specification, Authentication Protocol), each line once the one before it is answered.
fn greet(mut client: &UnixStream, mut bus: &UnixStream) -> io::Result<()> {
    let mut said = Vec::new();
    let end = loop {
        if let Some(at) = said.windows(BEGIN.len()).position(|part| part == BEGIN) {
            break at;
        }
        let mut buffer = [0; 1024];
        let length = client.read(&mut buffer)?;
        said.extend(buffer.get(..length).unwrap_or_default());
        if length == 0 || said.len() > MOST_GREETING {
            return Err(io::ErrorKind::InvalidData.into());
        }
    };
    let (lines, rest) = said.split_at(end);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        bus.write_all(line)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") && answer.len() < MOST_GREETING {
            let mut byte = [0];
            bus.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        client.write_all(&answer)?;
    }
    bus.write_all(rest)
}

/// Bytes and descriptors, until one end is gone: then the other is.
fn carry(from: &UnixStream, to: &UnixStream) {
    let mut buffer = vec![0; 64 * 1024];
    while matches!(pass(from, to, &mut buffer), Ok(1..)) {}
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// What comes next; 0 at the end.
fn pass(from: &UnixStream, mut to: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = recvmsg(from, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?.bytes;
    let mut held = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            held.extend(rights);
        }
    }
    let rights: Vec<_> = held.iter().map(|fd| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !rights.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let bytes = buffer.get(..length).unwrap_or_default();
    let flags = SendFlags::NOSIGNAL;
    let sent = sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, flags)?;
    to.write_all(bytes.get(sent..).unwrap_or_default())?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_greeting_waits_for_the_answer_to_the_one_before() {
        let (mut client, theirs) = UnixStream::pair().unwrap();
        let (bus, mut server) = UnixStream::pair().unwrap();
        let greeter = thread::spawn(move || greet(&theirs, &bus).map(|()| bus));
        client
            .write_all(b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\nl1")
            .unwrap();
        let mut heard = [0; 256];
        for (line, answer) in [
            (&b"\0AUTH EXTERNAL 30\r\n"[..], &b"OK 1234\r\n"[..]),
            (b"NEGOTIATE_UNIX_FD\r\n", b"AGREE_UNIX_FD\r\n"),
        ] {
            let length = server.read(&mut heard).unwrap();
            assert_eq!(heard.get(..length), Some(line));
            server.write_all(answer).unwrap();
        }
        let length = server.read(&mut heard).unwrap();
        assert_eq!(heard.get(..length), Some(&b"BEGIN\r\nl1"[..]));
        greeter.join().unwrap().unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        assert_eq!(answers, "OK 1234\r\nAGREE_UNIX_FD\r\n");
    }
}
