//! Addresses that cannot be right are refused at once, in words.

use planaria_bus::{Error, open};
use planaria_runtime::BusSettings;

#[tokio::test]
async fn a_malformed_address_is_refused_and_not_repeated() {
    let refused = [
        "localhost:6379",
        "http://localhost:6379",
        "redis://",
        "redis://:hunter2@localhost:notaport",
        "redis://:hunter2@localhost:6379/first",
        "rediss://:hunter2@localhost:6379/#insecure",
        "not an address hunter2",
    ];
    for url in refused {
        let settings = BusSettings { url: url.into(), ..BusSettings::default() };
        let Err(error @ Error::Url { .. }) = open(&settings) else {
            panic!("{url} was taken");
        };
        let text = error.to_string();
        assert!(text.contains("redis://[[user]:password@]host"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
