//! Who may come in, and what the services hear about it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod mesh;

use std::collections::BTreeSet;
use std::time::Duration;

use mesh::keys::*;
use mesh::*;
use planaria_gateway::{Config, PUBLIC};
use planaria_proto::gateway::v1::access_service_client::AccessServiceClient;
use planaria_proto::gateway::v1::{
    CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest, Role as WireRole,
};
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::monitoring::v1::{ListHealingsRequest, WatchHealingsRequest};
use planaria_runtime::clock::now_ms;
use planaria_runtime::identity::{HEADER, RULES};
use planaria_runtime::service::Deps;
use planaria_runtime::{ClientLimits, Directory, Identity, Role, Secret};
use planaria_store::testing::TestDatabase;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const OVERVIEW: &str = "/planaria.monitoring.v1.MonitoringService/GetOverview";
const HEALINGS: &str = "/planaria.monitoring.v1.MonitoringService/ListHealings";
const DRAIN: &str = "/planaria.failure_detector.v1.FailureDetectorService/DrainWorker";

fn told(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

fn denied(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

/// A guarded gateway before a service that tells who calls, whatever the service is.
async fn before_teller(
    config: Config,
) -> (Running<()>, Running<Result<(), planaria_gateway::Error>>) {
    let teller = teller().await;
    let mut names: Vec<&str> = PUBLIC.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let upstreams: Vec<_> = names.into_iter().map(|name| (name, teller.address)).collect();
    let gateway = gateway(config, &upstreams).await;
    (teller, gateway)
}

#[test]
fn every_method_of_the_contract_has_a_rule_and_every_rule_a_method() {
    let rules: BTreeSet<String> = RULES
        .iter()
        .flat_map(|(service, rules)| rules.iter().map(move |(name, _)| (service, name)))
        .map(|(service, name)| format!("/{service}/{name}"))
        .collect();
    let methods: BTreeSet<String> = methods().into_iter().collect();
    let without: Vec<_> = methods.difference(&rules).collect();
    assert!(without.is_empty(), "no rule in planaria_runtime::identity::RULES: {without:?}");
    let lost: Vec<_> = rules.difference(&methods).collect();
    assert!(lost.is_empty(), "rules without a method: {lost:?}");
}

#[tokio::test]
async fn internal_methods_are_for_services_alone() {
    let public = |path: &str| PUBLIC.iter().any(|(name, _)| path.starts_with(&format!("/{name}/")));
    for path in methods() {
        let admin = Identity::new("key", "*", Role::Admin);
        assert_eq!(admin.admit(&path).is_ok(), public(&path), "{path}");
        assert!(Identity::new("monitoring", "*", Role::Service).admit(&path).is_ok(), "{path}");
    }
}

#[tokio::test]
async fn a_service_answers_nobody_without_a_word_of_the_mesh() {
    let teller = teller().await;
    let channel = connect(&teller.uri()).await;
    let admin = Identity::new("key", "*", Role::Service);
    let expired = Identity { expires_at_ms: now_ms() - 31_000, ..admin.clone() };
    let eternal = Identity { expires_at_ms: now_ms() + 600_000, ..admin.clone() };
    let other = Secret::new("the secret of another mesh, just as long").unwrap();
    let text = |header: http::HeaderValue| header.to_str().unwrap().to_owned();
    let forged = text(admin.encode(&other).unwrap());
    let good = text(admin.encode(&Secret::default()).unwrap());
    let raised = good.replace(":key:", ":lock:");
    let late = text(expired.encode(&Secret::default()).unwrap());
    let early = text(eternal.encode(&Secret::default()).unwrap());
    for path in methods() {
        for (header, expected) in [
            (None, "IDENTITY_MISSING"),
            (Some(""), "IDENTITY_INVALID"),
            (Some("1:service:key:*:99999999999999:"), "IDENTITY_INVALID"),
            (Some(forged.as_str()), "IDENTITY_INVALID"),
            (Some(raised.as_str()), "IDENTITY_INVALID"),
            (Some(late.as_str()), "IDENTITY_EXPIRED"),
            (Some(early.as_str()), "IDENTITY_EXPIRED"),
        ] {
            let metadata: Vec<_> = header.iter().map(|header| (HEADER, *header)).collect();
            let status = ask(channel.clone(), &path, &metadata).await.unwrap_err();
            assert_eq!(told(&status), denied(Code::Unauthenticated, expected), "{path} {header:?}");
        }
        let answer = ask(channel.clone(), &path, &[(HEADER, &good)]).await.unwrap();
        assert_eq!(answer.get("x-told").unwrap(), &good, "{path}");
    }
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_worth_nothing_on_any_method() {
    let (_teller, gateway) = before_teller(guarded()).await;
    let (id, key) = create(&gateway.uri(), ADMIN, WireRole::Reader, "shop").await;
    let bearer = format!("Bearer {key}");
    // Even one that the mesh itself would have signed.
    let strong = Identity::new("admin-key", "*", Role::Service).encode(&Secret::default()).unwrap();
    let own = [(HEADER, strong.to_str().unwrap())];
    let channel = connect(&gateway.uri()).await;
    let reader = Identity::new(&id, "shop", Role::Reader);
    for path in methods() {
        let public = PUBLIC.iter().find(|(name, _)| path.starts_with(&format!("/{name}/")));
        let alone = ask(channel.clone(), &path, &own).await.unwrap_err();
        let expected = match public {
            Some(_) => denied(Code::Unauthenticated, "API_KEY_MISSING"),
            None => denied(Code::Unimplemented, "UNKNOWN_METHOD"),
        };
        assert_eq!(told(&alone), expected, "{path}");
        let Some((_, service)) = public else { continue };
        let mut all = vec![own[0], ("authorization", bearer.as_str())];
        all.extend(OWN.map(|name| (name, "bank")));
        let answer = ask(channel.clone(), &path, &all).await;
        match reader.admit(&path) {
            Ok(()) => {
                let answer = answer.unwrap();
                let heard = answer.get("x-told").unwrap().to_str().unwrap();
                assert!(heard.starts_with(&format!("1:reader:{id}:shop:")), "{path}: {heard}");
                let mut own: Vec<_> = answer.get_all("x-own").iter().collect();
                own.sort_unstable();
                assert_eq!(own, ["planaria-hop", HEADER], "{path}");
                assert_ne!(*service, "gateway");
            }
            Err(refused) => {
                let expected = denied(Code::PermissionDenied, refused.reason());
                assert_eq!(told(&answer.unwrap_err()), expected, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn only_a_key_opens_and_only_what_it_is_for() {
    let (_teller, gateway) = before_teller(guarded()).await;
    let uri = gateway.uri();
    let channel = connect(&uri).await;
    let try_key = async |path: &str, shown: &str| {
        let answer = ask(channel.clone(), path, &[("authorization", shown)]).await;
        answer.map(|_| ()).map_err(|status| told(&status))
    };
    let reader = create(&uri, ADMIN, WireRole::Reader, "*").await.1;
    let shop = create(&uri, ADMIN, WireRole::Operator, "shop").await.1;
    let worker = create(&uri, ADMIN, WireRole::Worker, "*").await.1;
    let wrong = format!("{}0", &reader[..reader.len() - 1]);
    let wrong = if wrong == reader { format!("{}1", &reader[..reader.len() - 1]) } else { wrong };
    let invalid = || Err(denied(Code::Unauthenticated, "API_KEY_INVALID"));
    let role = || Err(denied(Code::PermissionDenied, "ROLE_INSUFFICIENT"));
    let wide = Err(denied(Code::PermissionDenied, "NAMESPACE_INSUFFICIENT"));
    for (path, shown, expected) in [
        (OVERVIEW, format!("Bearer {ADMIN}"), Ok(())),
        (OVERVIEW, format!("Bearer {reader}"), Ok(())),
        (OVERVIEW, format!("bearer {reader}"), Ok(())),
        (OVERVIEW, format!("Bearer {wrong}"), invalid()),
        (OVERVIEW, "Bearer planaria_nobody_nothing".into(), invalid()),
        (OVERVIEW, "Bearer ".into(), invalid()),
        (OVERVIEW, reader.clone(), invalid()),
        (OVERVIEW, format!("Bearer {worker}"), role()),
        (OVERVIEW, format!("Bearer {shop}"), wide),
        (HEALINGS, format!("Bearer {shop}"), Ok(())),
        (DRAIN, format!("Bearer {shop}"), Ok(())),
        (DRAIN, format!("Bearer {reader}"), role()),
        (DRAIN, format!("Bearer {worker}"), role()),
    ] {
        assert_eq!(try_key(path, &shown).await, expected, "{path} {shown}");
    }
    // Health is for everybody, the contract for those with a key.
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    soon(health.check(tonic_health::pb::HealthCheckRequest::default())).await.unwrap();
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let status = ask(channel.clone(), reflection, &[]).await.unwrap_err();
    assert_eq!(told(&status), denied(Code::Unauthenticated, "API_KEY_MISSING"));
    let built_in = Secret::default().derived_key("worker");
    assert_eq!(try_key(OVERVIEW, &format!("Bearer {built_in}")).await, role());
}

#[tokio::test]
async fn administrators_of_a_namespace_rule_its_keys_and_no_others() {
    let gateway = gateway(guarded(), &[]).await;
    let uri = gateway.uri();
    let (shop_id, shop) = create(&uri, ADMIN, WireRole::Admin, "shop").await;
    let (bank_id, bank) = create(&uri, ADMIN, WireRole::Admin, "bank").await;
    // Nothing said is the caller's own.
    let (reader_id, _) = create(&uri, &shop, WireRole::Reader, "").await;
    for namespace in ["bank", "*"] {
        let request = CreateApiKeyRequest {
            role: WireRole::Reader.into(),
            namespace: namespace.into(),
            ..Default::default()
        };
        let status = create_with(&uri, &shop, request).await.unwrap_err();
        assert_eq!(told(&status), denied(Code::PermissionDenied, "NAMESPACE_INSUFFICIENT"));
    }
    let list = async |key: &str, page_size: u32| {
        let mut access = AccessServiceClient::new(showing(&uri, key).await);
        let mut ids = BTreeSet::new();
        let mut page_token = String::new();
        loop {
            let request = ListApiKeysRequest { all: true, page_size, page_token };
            let page = soon(access.list_api_keys(request)).await.unwrap().into_inner();
            assert!(page.keys.len() <= page_size as usize);
            ids.extend(page.keys.into_iter().map(|key| (key.id, key.namespace)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return ids;
            }
        }
    };
    let owned = |id: &str, namespace: &str| (id.to_owned(), namespace.to_owned());
    let shops = BTreeSet::from([owned(&shop_id, "shop"), owned(&reader_id, "shop")]);
    assert_eq!(list(&shop, 1).await, shops);
    assert_eq!(list(&bank, 1).await, BTreeSet::from([owned(&bank_id, "bank")]));
    assert_eq!(list(ADMIN, 2).await.len(), 3);

    let revoke = async |key: &str, id: &str| {
        let mut access = AccessServiceClient::new(showing(&uri, key).await);
        soon(access.revoke_api_key(RevokeApiKeyRequest { id: id.into() })).await
    };
    let none = revoke(&bank, "0123456789abcdef").await.unwrap_err();
    let not_theirs = revoke(&bank, &reader_id).await.unwrap_err();
    assert_eq!(told(&none), denied(Code::NotFound, "API_KEY_NOT_FOUND"));
    let of = |status: &Status, id: &str| status.message().replace(id, "ID");
    assert_eq!(of(&none, "0123456789abcdef"), of(&not_theirs, &reader_id));
    revoke(&shop, &reader_id).await.unwrap();
}

#[tokio::test]
async fn a_key_is_made_as_asked_or_not_at_all() {
    let gateway = gateway(Config { keys_max: 2, ..guarded() }, &[]).await;
    let uri = gateway.uri();
    let good = CreateApiKeyRequest { role: WireRole::Reader.into(), ..Default::default() };
    let at = |seconds: u64| {
        let seconds = i64::try_from(now_ms() / 1_000 + seconds).unwrap();
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    };
    for (request, field) in [
        (CreateApiKeyRequest::default(), "role"),
        (CreateApiKeyRequest { role: 77, ..good.clone() }, "role"),
        (CreateApiKeyRequest { label: "x".repeat(129), ..good.clone() }, "label"),
        (CreateApiKeyRequest { label: "a\nb".into(), ..good.clone() }, "label"),
        (CreateApiKeyRequest { namespace: "a:b".into(), ..good.clone() }, "namespace"),
        (CreateApiKeyRequest { expires_at: at(0), ..good.clone() }, "expires_at"),
        (CreateApiKeyRequest { expires_at: at(367 * 86_400), ..good.clone() }, "expires_at"),
    ] {
        let status = create_with(&uri, ADMIN, request).await.unwrap_err();
        assert_eq!(told(&status), denied(Code::InvalidArgument, "API_KEY_UNFIT"), "{field}");
        let bad = status.get_details_bad_request().unwrap();
        assert_eq!(bad.field_violations[0].field, field);
    }
    for _ in 0..2 {
        create_with(&uri, ADMIN, good.clone()).await.unwrap();
    }
    let status = create_with(&uri, ADMIN, good).await.unwrap_err();
    assert_eq!(told(&status), denied(Code::ResourceExhausted, "API_KEYS_TOO_MANY"));
}

#[tokio::test]
async fn a_key_ends_in_time_and_its_streams_with_it() {
    let monitoring = monitoring().await;
    let gateway = gateway(guarded(), &[("monitoring", monitoring.address)]).await;
    let expires_at_ms = now_ms() + 1_500;
    let expires_at = prost_types::Timestamp {
        seconds: i64::try_from(expires_at_ms / 1_000).unwrap(),
        nanos: i32::try_from(expires_at_ms % 1_000 * 1_000_000).unwrap(),
    };
    let request = CreateApiKeyRequest {
        role: WireRole::Reader.into(),
        expires_at: Some(expires_at),
        ..Default::default()
    };
    let (_, key) = create_with(&gateway.uri(), ADMIN, request).await.unwrap();
    let mut client = MonitoringServiceClient::new(showing(&gateway.uri(), &key).await);
    let mut stream =
        soon(client.watch_healings(WatchHealingsRequest::default())).await.unwrap().into_inner();
    let status = loop {
        match soon(stream.next()).await.unwrap() {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(told(&status), denied(Code::Unauthenticated, "API_KEY_ENDED"));
    assert!(now_ms() >= expires_at_ms);
    let request = ListHealingsRequest::default();
    let status = soon(client.list_healings(request)).await.unwrap_err();
    assert_eq!(told(&status), denied(Code::Unauthenticated, "API_KEY_EXPIRED"));
}

#[tokio::test]
async fn a_key_made_or_revoked_at_one_gateway_is_so_at_all_of_them() {
    let database = TestDatabase::create().await;
    let monitoring = monitoring().await;
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let directory = Directory::new(ClientLimits::default());
        directory.set("monitoring", [monitoring.uri()]).unwrap();
        let mut deps = Deps::new(directory, folder.path(), CancellationToken::new());
        deps.store.url.clone_from(&database.url);
        // As it is set by default.
        let config = Config { key_refresh_ms: Config::default().key_refresh_ms, ..guarded() };
        gateway_with(config, deps).await
    };
    let (one, other) = (start().await, start().await);
    let (id, key) = create(&one.uri(), ADMIN, WireRole::Reader, "*").await;
    let mut client = MonitoringServiceClient::new(showing(&other.uri(), &key).await);
    let mut stream =
        soon(client.watch_healings(WatchHealingsRequest::default())).await.unwrap().into_inner();
    soon(stream.next()).await.unwrap().unwrap();
    let waits = ListHealingsRequest { workflow_id: "never".into(), ..Default::default() };
    let mut second = client.clone();
    let waiting = tokio::spawn(async move { second.list_healings(waits).await });

    let mut access = AccessServiceClient::new(showing(&one.uri(), ADMIN).await);
    soon(access.revoke_api_key(RevokeApiKeyRequest { id })).await.unwrap();
    let ended = async {
        loop {
            match stream.next().await.unwrap() {
                Ok(_) => {}
                Err(status) => return status,
            }
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(5), ended).await;
    let status = within.expect("a stream ends within 5 s of its key");
    assert_eq!(told(&status), denied(Code::Unauthenticated, "API_KEY_ENDED"));
    let status = soon(waiting).await.unwrap().unwrap_err();
    assert_eq!(told(&status), denied(Code::Unauthenticated, "API_KEY_ENDED"));
    let request = ListHealingsRequest::default();
    let status = soon(client.list_healings(request)).await.unwrap_err();
    assert_eq!(told(&status), denied(Code::Unauthenticated, "API_KEY_REVOKED"));
}

#[tokio::test]
async fn a_key_is_used_as_fast_as_it_may_be_and_others_as_fast_as_they_may() {
    let (_teller, gateway) = before_teller(guarded()).await;
    let uri = gateway.uri();
    let request = CreateApiKeyRequest {
        role: WireRole::Reader.into(),
        requests_per_second: 1,
        requests_burst: 3,
        ..Default::default()
    };
    let slow = format!("Bearer {}", create_with(&uri, ADMIN, request).await.unwrap().1);
    let fast = format!("Bearer {}", create(&uri, ADMIN, WireRole::Reader, "*").await.1);
    let channel = connect(&uri).await;
    let mut refused = None;
    for _ in 0..4 {
        if let Err(status) = ask(channel.clone(), OVERVIEW, &[("authorization", &slow)]).await {
            refused = Some(status);
        }
        ask(channel.clone(), OVERVIEW, &[("authorization", &fast)]).await.unwrap();
    }
    let status = refused.expect("four in a second are too many");
    assert_eq!(told(&status), denied(Code::ResourceExhausted, "RATE_LIMITED"));
    let pause = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(pause > Duration::ZERO && pause <= Duration::from_secs(1), "{pause:?}");
}

#[tokio::test]
async fn without_authentication_everybody_is_an_administrator() {
    let (_teller, gateway) = before_teller(Config::default()).await;
    let channel = connect(&gateway.uri()).await;
    let answer = ask(channel, DRAIN, &[]).await.unwrap();
    let heard = answer.get("x-told").unwrap().to_str().unwrap();
    assert!(heard.starts_with("1:admin:nobody:*:"), "{heard}");
}
