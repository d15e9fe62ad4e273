//! Connections over TLS: the right certificate, other certificates, ends that do not speak it,
//! hostile bytes, time limits.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sync_ipc::ConnectionError;
use sync_ipc::auth::{
    AuthError, Identity, Key, Listener, Trust, connect, connect_tcp, connect_tls,
};

/// A server of this name, and the trust in its certificate, which it has signed itself.
fn certified(name: &str) -> (Identity, Trust) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let identity = Identity::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem()).unwrap();
    (identity, Trust::from_der(vec![made.cert.der().to_vec()], name))
}

fn listener(identity: &Identity, key: &Key) -> (Listener, SocketAddr) {
    let listener = Listener::bind_tcp("127.0.0.1:0", key.clone()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener.tls(identity).unwrap(), address)
}

/// Both ends of a connection.
fn pair() -> (sync_ipc::Connection, sync_ipc::Connection) {
    let ((identity, trust), key) = (certified("localhost"), Key::new("key"));
    let (listener, address) = listener(&identity, &key);
    thread::scope(|scope| {
        let client = scope.spawn(|| connect_tls(address, &key, &trust).unwrap());
        (listener.accept().unwrap(), client.join().unwrap())
    })
}

#[test]
fn a_server_with_the_right_certificate_and_key_is_connected_to() {
    let (server, client) = pair();
    server.send("to the client").unwrap();
    assert_eq!(client.recv::<String>().unwrap(), "to the client");
    // Longer than the socket and the records, both ways at once.
    let long: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
    thread::scope(|scope| {
        for end in [&server, &client] {
            let long = &long;
            scope.spawn(move || end.send_bytes(long).unwrap());
            scope.spawn(move || assert!(end.recv_bytes(1 << 30).unwrap() == *long));
        }
    });
    // Many short ones, which arrive in one record or in several.
    thread::scope(|scope| {
        scope.spawn(|| (0..1000_u32).for_each(|n| client.send(&n).unwrap()));
        for n in 0..1000_u32 {
            assert!(server.poll(Duration::from_secs(60)).unwrap());
            assert_eq!(server.recv::<u32>().unwrap(), n);
        }
    });
    assert!(!server.poll(Duration::ZERO).unwrap());
    drop(client);
    assert!(server.poll(Duration::from_secs(60)).unwrap(), "the end can be received");
    assert!(matches!(server.recv::<u32>(), Err(ConnectionError::Closed)));
}

#[test]
fn timeouts_hold_and_lose_nothing() {
    let (server, client) = pair();
    let short = Duration::from_millis(20);
    let silent = server.recv_bytes_timeout(10, short);
    assert!(matches!(silent, Err(ConnectionError::TimedOut)), "{silent:?}");
    let long = vec![7; 20_000_000];
    // No thread receives: the socket fills up.
    let sent = client.send_bytes_timeout(&long, short);
    assert!(matches!(sent, Err(ConnectionError::SentInPart)), "{sent:?}");
    let part = server.recv_bytes_timeout(1 << 30, short);
    assert!(matches!(part, Err(ConnectionError::TimedOut)), "{part:?}");
    thread::scope(|scope| {
        // The rest goes first.
        scope.spawn(|| client.send("next").unwrap());
        assert!(server.recv_bytes(1 << 30).unwrap() == long);
        assert_eq!(server.recv::<String>().unwrap(), "next");
    });
    let too_long = server.recv_bytes_timeout(10, Duration::ZERO);
    assert!(matches!(too_long, Err(ConnectionError::TimedOut)), "{too_long:?}");
    // Descriptors do not go through it.
    let socket = std::os::fd::AsFd::as_fd(&server);
    assert!(client.send_fds(&[socket]).is_err());
    client.send("as before").unwrap();
    assert_eq!(server.recv::<String>().unwrap(), "as before");
}

#[test]
fn another_certificate_another_name_and_another_key_are_refused() {
    let ((identity, trust), (_, other)) = (certified("localhost"), certified("localhost"));
    let key = Key::new("key");
    let (listener, address) = listener(&identity, &key);
    let refused = |key: Key, trust: Trust| {
        thread::scope(|scope| {
            let client = scope.spawn(move || connect_tls(address, &key, &trust).map(drop));
            let server = listener.accept().map(drop);
            (client.join().unwrap().unwrap_err(), server.unwrap_err())
        })
    };
    let (client, server) = refused(key.clone(), other);
    assert!(matches!(client, AuthError::Tls(_)), "{client:?}");
    // It learns the reason by an alert.
    assert!(matches!(server, AuthError::Tls(_)), "{server:?}");
    let (_, of_another_name) = certified("elsewhere");
    assert!(matches!(refused(key.clone(), of_another_name).0, AuthError::Tls(_)));
    let (client, server) = refused(Key::new("wrong"), trust.clone());
    assert!(matches!(client, AuthError::WrongKey), "{client:?}");
    assert!(matches!(server, AuthError::WrongKey), "{server:?}");
    // The listener goes on.
    thread::scope(|scope| {
        scope.spawn(|| connect_tls(address, &key, &trust).unwrap().send(&1).unwrap());
        assert_eq!(listener.accept().unwrap().recv::<i32>().unwrap(), 1);
    });
    assert!(Identity::from_pem("no certificate", "no key").is_err());
    assert!(Trust::from_pem("no certificate", "localhost").is_err());
    let path = super::place("tls");
    let on_a_path = Listener::bind(&path, key.clone()).unwrap().tls(&identity);
    assert!(matches!(on_a_path, Err(AuthError::Tls(_))));
    assert!(connect(&path, &key).is_err(), "the listener is gone");
}

#[test]
fn ends_that_do_not_speak_tls_are_refused() {
    let ((identity, trust), key) = (certified("localhost"), Key::new("key"));
    let (listener, address) = listener(&identity, &key);
    // Each end waits for the other to begin, until the time of the first is up.
    let listener = listener.limit(Duration::from_millis(100));
    thread::scope(|scope| {
        let client = scope.spawn(|| connect_tcp(address, &key).map(drop));
        let server = listener.accept().map(drop);
        assert!(matches!(server, Err(AuthError::TimedOut)), "{server:?}");
        let client = client.join().unwrap();
        assert!(matches!(client, Err(AuthError::Closed)), "{client:?}");
    });
    let plain = Listener::bind_tcp("127.0.0.1:0", key.clone()).unwrap();
    let address = plain.local_addr().unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| connect_tls(address, &key, &trust).map(drop));
        assert!(plain.accept().is_err());
        let client = client.join().unwrap();
        assert!(matches!(client, Err(AuthError::Tls(_))), "{client:?}");
    });
}

/// An attacker with a certificate that the client believes cannot pass the proofs on: they belong
/// to one TLS connection.
#[test]
fn proofs_are_of_use_in_their_own_tls_connection_only() {
    let (identity, _) = certified("localhost");
    let key = Key::new("key");
    let (listener, address) = listener(&identity, &key);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let deceived = Trust::from_der(vec![made.cert.der().to_vec()], "localhost");
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let between_address = between.local_addr().unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| connect_tls(between_address, &key, &deceived).map(drop));
        let server = scope.spawn(|| listener.accept().map(drop));
        // It knows no key, and takes part in both TLS connections.
        let mut to_client = as_server(&made, between.accept().unwrap().0);
        let mut to_server = as_careless_client(TcpStream::connect(address).unwrap());
        pass_frame(&mut to_server, &mut to_client);
        pass_frame(&mut to_client, &mut to_server);
        let server = server.join().unwrap();
        assert!(matches!(server, Err(AuthError::WrongKey)), "{server:?}");
        pass_frame(&mut to_server, &mut to_client);
        let client = client.join().unwrap();
        assert!(matches!(client, Err(AuthError::WrongKey)), "{client:?}");
    });
}

fn as_server(
    made: &rcgen::CertifiedKey<rcgen::KeyPair>,
    stream: TcpStream,
) -> impl Read + Write + use<> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    rustls::StreamOwned::new(session, stream)
}

/// A client that believes every certificate.
fn as_careless_client(stream: TcpStream) -> impl Read + Write {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless(provider)))
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    rustls::StreamOwned::new(session, stream)
}

#[derive(Debug)]
struct Careless(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn pass_frame(from: &mut impl Read, to: &mut impl Write) {
    let mut length = [0; 4];
    from.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut bytes).unwrap();
    to.write_all(&[&length[..], &bytes].concat()).unwrap();
    to.flush().unwrap();
}

#[test]
fn hostile_bytes_and_silence_end_within_the_limit() {
    let ((identity, trust), key) = (certified("localhost"), Key::new("key"));
    let (listener, address) = listener(&identity, &key);
    let limit = Duration::from_millis(200);
    let listener = listener.limit(limit);
    let silent = TcpStream::connect(address).unwrap();
    let started = Instant::now();
    let accepted = listener.accept();
    assert!(matches!(accepted, Err(AuthError::TimedOut)), "{accepted:?}");
    assert!(started.elapsed() >= limit);
    drop(silent);
    let seed = 0x7150_0001_u64;
    println!("seed {seed:#x}");
    let mut random = seed;
    let mut byte = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as u8
    };
    for round in 0..100 {
        let mut bytes: Vec<u8> = (0..1 + usize::from(byte())).map(|_| byte()).collect();
        if round % 2 == 0 {
            // The header of a record of a handshake, with a length of up to 16 KiB.
            bytes.splice(0..0, [22, 3, 1, byte() & 0x3f, byte(), 1, 0, byte(), byte()]);
        }
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        assert!(listener.accept().is_err());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 100, "an unproved client got {} bytes", answer.len());
    }
    // The listener goes on.
    thread::scope(|scope| {
        scope.spawn(|| connect_tls(address, &key, &trust).unwrap().send("in").unwrap());
        assert_eq!(listener.accept().unwrap().recv::<String>().unwrap(), "in");
    });
}

/// An attacker between the two ends changes a byte, or cuts the connection.
#[test]
fn a_changed_byte_and_a_cut_connection_are_noticed() {
    let ((identity, trust), key) = (certified("localhost"), Key::new("key"));
    let (listener, address) = listener(&identity, &key);
    for cut in [false, true] {
        let between = TcpListener::bind("127.0.0.1:0").unwrap();
        let between_address = between.local_addr().unwrap();
        let attacks = AtomicBool::new(false);
        thread::scope(|scope| {
            let server = scope.spawn(|| listener.accept().unwrap());
            let attacks = &attacks;
            scope.spawn(move || {
                let (to_client, _) = between.accept().unwrap();
                let to_server = TcpStream::connect(address).unwrap();
                let ends = (to_client.try_clone().unwrap(), to_server.try_clone().unwrap());
                let back = thread::spawn(move || forward(ends.1, ends.0, &AtomicBool::new(false)));
                forward(to_client, to_server, attacks);
                back.join().unwrap();
            });
            let client = connect_tls(between_address, &key, &trust).unwrap();
            let server = server.join().unwrap();
            client.send("as it is").unwrap();
            assert_eq!(server.recv::<String>().unwrap(), "as it is");
            if cut {
                // The socket ends, and TLS does not: this is no end in good order.
                let socket = std::os::fd::AsFd::as_fd(&client);
                rustix::net::shutdown(socket, rustix::net::Shutdown::Both).unwrap();
                let received = server.recv::<String>();
                assert!(matches!(received, Err(ConnectionError::Interrupted)), "{received:?}");
            } else {
                attacks.store(true, Ordering::SeqCst);
                client.send("changed on its way").unwrap();
                let received = server.recv::<String>();
                assert!(matches!(received, Err(ConnectionError::Io(_))), "{received:?}");
            }
        });
    }
}

/// Copies bytes until the end, and changes one of each piece while `attacks`.
fn forward(mut from: TcpStream, mut to: TcpStream, attacks: &AtomicBool) {
    let mut buffer = [0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        buffer[count - 1] ^= u8::from(attacks.load(Ordering::SeqCst));
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
