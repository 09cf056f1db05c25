//! What belongs to one namespace does not exist for a key of another: every public method is asked,
//! with everything that has a name in every field that could hold one. And a walk that asks about
//! nothing shows nothing: the owner's own key must get another answer than about what is not there.

mod bank;
mod probe;

use std::fmt;
use std::time::Duration;

use planaria_proto::FILE_DESCRIPTOR_SET;
use planaria_runtime::identity::{HEADER, rule};
use planaria_runtime::{Identity, Role, Secret};
use planaria_sdk::Client;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status};

use self::bank::{Bank, client_of};
use self::probe::{Named, forged, requests, twin};
use crate::ask;
use crate::binary::Mesh;
use crate::raw::RawCodec;

const ADMIN: &str = "the first administrator of this test";
/// In everything that the bank writes.
const CANARY: &str = "canary-5e1f";
/// A stream that says nothing for so long says nothing.
const SILENCE: Duration = Duration::from_millis(60);
/// A call that is not answered within this waits for something that does not come.
const ANSWER: Duration = Duration::from_secs(5);
/// A name that is shorter than this may be anywhere.
const TELLING_BYTES: usize = 10;

/// Answers that are never twice the same, whatever is asked.
const VARY: [&str; 9] = [
    "CreateApiKey",
    "CreateWebhook",
    "GetDistribution",
    "GetSeries",
    "Heartbeat",
    "ListApiKeys",
    "OpenSession",
    "StartRedrive",
    "Subscribe",
];

/// Methods that make or check something of the caller's own, whatever is there already.
const OWN: [&str; 7] = [
    "CreateApiKey",
    "CreateWebhook",
    "Heartbeat",
    "OpenSession",
    "PutDefinition",
    "PutLimit",
    "ValidateDefinition",
];

/// Methods that keep what is said in them, for whoever said it.
const KEEPS: [&str; 5] =
    ["CreateApiKey", "CreateWebhook", "Heartbeat", "OpenSession", "StartRedrive"];

/// Methods whose answers name nothing of the bank's: streams of what comes later, counts, an id of
/// its own, and what did not happen there.
const NAMELESS: [&str; 6] = [
    "GetDistribution",
    "GetSeries",
    "ListBreakerChanges",
    "StartRedrive",
    "Subscribe",
    "WatchHealings",
];

/// What ends something: asked by the owner when all else was.
const LAST: [&str; 8] = [
    "CancelWorkflow",
    "CloseSession",
    "DeleteLimit",
    "DeleteWebhook",
    "DrainWorker",
    "ReportResults",
    "RevokeApiKey",
    "RunWorkflow",
];

/// What a client is answered.
enum Answer {
    /// All that came.
    Heard(Vec<u8>),
    Refused(Box<Status>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heard(heard) => write!(formatter, "heard {:?}", String::from_utf8_lossy(heard)),
            Self::Refused(status) => write!(formatter, "refused: {status}"),
        }
    }
}

/// The methods of all public services.
fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let public = |name: &str| planaria_gateway::PUBLIC.iter().any(|(public, _)| *public == name);
    let services = pool.services().filter(|service| public(service.full_name()));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

async fn answer_to(client: &Client, method: &MethodDescriptor, message: &DynamicMessage) -> Answer {
    let mut grpc = tonic::client::Grpc::new(client.channel());
    grpc.ready().await.unwrap();
    let sent = tokio_stream::once(bytes::Bytes::from(message.encode_to_vec()));
    // Who sends more than one message has more to say.
    let more = tokio_stream::pending().take(usize::from(method.is_client_streaming()));
    let mut request = Request::new(sent.chain(more));
    for (name, value) in pretended() {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    let path = path(method).parse().unwrap();
    let patience = if method.is_server_streaming() { SILENCE * 5 } else { ANSWER };
    let asking = async {
        let mut stream = grpc.streaming(request, path, RawCodec).await?.into_inner();
        let mut heard = Vec::new();
        loop {
            let next = stream.message();
            let next = if method.is_server_streaming() {
                // What is said without end is heard once.
                let Ok(next) = tokio::time::timeout(SILENCE, next).await else { break };
                next
            } else {
                next.await
            };
            let Some(message) = next? else { break };
            heard.extend(message);
            if heard.len() > 100_000 {
                break;
            }
        }
        Ok::<_, Status>(heard)
    };
    match tokio::time::timeout(patience, asking).await {
        Ok(Ok(heard)) => Answer::Heard(heard),
        Ok(Err(status)) => Answer::Refused(Box::new(status)),
        // A stream that does not even begin, for want of anything to say.
        Err(_) => Answer::Heard(Vec::new()),
    }
}

/// What somebody might say of itself in the mesh's own words, signed by whoever knows no more than
/// what everybody does.
fn pretended() -> [(&'static str, String); 4] {
    let strong = Identity::new("admin-key", "*", Role::Service).encode(&Secret::default());
    [
        (HEADER, strong.unwrap().to_str().unwrap().to_owned()),
        ("planaria-forwarded", "1".to_owned()),
        ("planaria-only-for", "bank".to_owned()),
        ("planaria-namespace", "bank".to_owned()),
    ]
}

/// A text without the names that a question named.
fn anonymous(mut text: String, name: &str) -> String {
    for name in [name, &*twin(name), "bank", &*twin("bank"), "vault", &*twin("vault")] {
        text = text.replace(name, "NAME");
    }
    // A name that is made of two of them.
    text.replace("NAME/NAME", "NAME")
}

/// A refusal without the name in it.
fn told(status: &Status, name: &str) -> (Code, String, String) {
    (status.code(), ask::reason(status), anonymous(status.message().to_owned(), name))
}

/// Whether two answers are the same but for the name that was asked about.
fn are_alike(method: &MethodDescriptor, name: &str, one: &Answer, other: &Answer) -> bool {
    match (one, other) {
        (Answer::Refused(one), Answer::Refused(other)) => told(one, name) == told(other, name),
        (Answer::Heard(one), Answer::Heard(other)) => {
            let text = |heard: &[u8]| anonymous(String::from_utf8_lossy(heard).into_owned(), name);
            VARY.contains(&method.name()) || text(one) == text(other)
        }
        _ => false,
    }
}

/// What is in a request, to be read by people.
fn said(request: &DynamicMessage) -> String {
    String::from_utf8_lossy(&request.encode_to_vec()).into_owned()
}

/// The questions about a name: each as it is, and about nothing.
fn questions(
    method: &MethodDescriptor,
    bank: &Bank,
    name: &str,
) -> Vec<(DynamicMessage, DynamicMessage)> {
    let (namespace, definition) = (twin("bank"), twin("vault"));
    let (nobodys, forged) = (twin(name), forged(&bank.token));
    let source = bank::VAULT.replace("namespace: bank", &format!("namespace: {namespace}"));
    let there = Named {
        name,
        namespace: "bank",
        definition: "vault",
        token: &bank.token,
        source: bank::VAULT,
    };
    let nowhere = Named {
        name: &nobodys,
        namespace: &namespace,
        definition: &definition,
        token: &forged,
        source: &source,
    };
    requests(method, &there).into_iter().zip(requests(method, &nowhere)).collect()
}

/// A name of the bank's in an answer to a question that did not name it.
fn leaked<'a>(bank: &'a Bank, question: &DynamicMessage, answer: &Answer) -> Option<&'a str> {
    let (sent, text) = (
        question.encode_to_vec(),
        match answer {
            Answer::Heard(heard) => String::from_utf8_lossy(heard).into_owned(),
            Answer::Refused(status) => {
                format!("{} {}", status.message(), String::from_utf8_lossy(status.details()))
            }
        },
    );
    let sent = String::from_utf8_lossy(&sent);
    let telling = bank.names.iter().map(String::as_str).filter(|name| name.len() > TELLING_BYTES);
    telling.chain([CANARY]).find(|name| text.contains(*name) && !sent.contains(*name))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_namespace_does_not_exist_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("PLANARIA__GATEWAY__AUTHENTICATION", "true"),
        ("PLANARIA__GATEWAY__ADMIN_KEY", ADMIN),
        ("PLANARIA__GATEWAY__REQUESTS_PER_SECOND", "0"),
    ];
    let mesh = Mesh::up_with(folder.path(), &settings);
    let bank = Bank::open(&mesh).await;
    let shop = client_of(&mesh, "shop").await;
    let before = bank.state().await;
    let mut asked = 0;
    let mut methods = methods();
    // What somebody said of itself is shown to it afterwards, whatever it named.
    methods.sort_by_key(|method| KEEPS.contains(&method.name()));
    for method in methods {
        for name in &bank.names {
            for (ours, nobodys) in questions(&method, &bank, name) {
                asked += 1;
                let what = format!("{} about {name}: {:?}", method.full_name(), said(&ours));
                let answer = answer_to(&shop, &method, &ours).await;
                assert_eq!(leaked(&bank, &ours, &answer), None, "{what}: {answer:?}");
                let of_nothing = answer_to(&shop, &method, &nobodys).await;
                let alike = are_alike(&method, name, &answer, &of_nothing);
                assert!(alike, "{what}: {answer:?}, but of nothing {of_nothing:?}");
                if rule(&path(&method)).mesh_wide {
                    let Answer::Refused(status) = &answer else { panic!("{what}: {answer:?}") };
                    assert_eq!(ask::reason(status), "NAMESPACE_INSUFFICIENT", "{what}");
                }
            }
        }
    }
    println!("{asked} requests of a key of another namespace, and as many about nothing");
    assert_eq!(bank.state().await, before);
    the_owner_is_answered_otherwise(&bank).await;
    assert!(mesh.end().success());
}

/// Each method was really asked about something that is there.
async fn the_owner_is_answered_otherwise(bank: &Bank) {
    let mut methods = methods();
    methods.retain(|method| !OWN.contains(&method.name()) && !rule(&path(method)).mesh_wide);
    methods.retain(|method| !NAMELESS.contains(&method.name()));
    methods.sort_by_key(|method| LAST.contains(&method.name()));
    let mut alike = Vec::new();
    for method in methods {
        if !differs(bank, &method).await {
            alike.push(method.full_name().to_owned());
        }
    }
    assert!(alike.is_empty(), "nothing that these methods could name was asked about: {alike:?}");
}

/// Whether the owner is told something about any name that it is not told about nothing.
async fn differs(bank: &Bank, method: &MethodDescriptor) -> bool {
    for name in &bank.names {
        for (ours, nobodys) in questions(method, bank, name) {
            let answer = answer_to(&bank.client, method, &ours).await;
            if leaked(bank, &ours, &answer).is_some() {
                return true;
            }
            let of_nothing = answer_to(&bank.client, method, &nobodys).await;
            if !are_alike(method, name, &answer, &of_nothing) {
                return true;
            }
        }
    }
    false
}
