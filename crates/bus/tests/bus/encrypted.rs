//! TLS to Redis: whom the bus trusts, and what it says of those it does not.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use planaria_bus::{Condition, Error, open};
use planaria_runtime::BusSettings;

use crate::server::Server;
use crate::{condition, gap, news};

/// Makes an authority, another one, and a certificate of the first for `localhost`.
const CERTIFICATES: &str = "set -e
    new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \"$@\"; }
    new -x509 -subj /CN=authority -keyout ca.key -out ca.pem
    new -x509 -subj /CN=another -keyout other.key -out other.pem
    new -subj /CN=localhost -keyout server.key -out server.csr
    echo subjectAltName=DNS:localhost > names
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
        -extfile names -out server.crt";

fn settings(host: &str, server: &Server, authority: &Path) -> BusSettings {
    BusSettings {
        url: format!("rediss://{host}:{}", server.port()),
        ca_file: authority.display().to_string(),
        ..server.settings()
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_of_the_authority_is_trusted_and_no_other() {
    let mut server = Server::absent();
    let folder = server.folder().to_owned();
    let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(&folder).output();
    let made = made.expect("sh runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    server.run_encrypted();

    let bus = open(&settings("localhost", &server, &folder.join("ca.pem"))).expect("it is good");
    let mut subscription = bus.subscribe(&["orders"]);
    gap(&mut subscription).await;
    bus.publish("orders", Bytes::from_static(b"sealed"));
    assert_eq!(news(&mut subscription).await.1, "sealed");

    for (host, authority) in [("localhost", "other.pem"), ("127.0.0.1", "ca.pem")] {
        let bus = open(&settings(host, &server, &folder.join(authority))).expect("it is good");
        let untrusted = |is: &Condition| matches!(is, Condition::Untrusted(_));
        let found = condition(&bus, |is| !matches!(is, Condition::Connecting)).await;
        assert!(untrusted(&found), "{host} {authority}: {found}");
        let said = found.trouble().expect("it is one");
        assert!(said.contains("bus.ca_file is its authority's"), "{said}");
    }
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_or_has_no_use_is_refused() {
    let absent = BusSettings {
        url: "rediss://:hunter2@localhost".into(),
        ca_file: "/nowhere/ca.pem".into(),
        ..BusSettings::default()
    };
    let error = open(&absent).expect_err("there is no such file");
    assert!(
        matches!(&error, Error::Authority { path, .. } if path == "/nowhere/ca.pem"),
        "{error}"
    );
    let plain = BusSettings { url: "redis://localhost".into(), ..absent.clone() };
    assert!(matches!(open(&plain), Err(Error::Plain)));
    let inside = BusSettings { url: String::new(), ..absent };
    assert!(matches!(open(&inside), Err(Error::Plain)));
}
