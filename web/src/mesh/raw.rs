//! Calls of any method by its path, with bytes that somebody else understands.

use prost::bytes::{Buf, BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status, Streaming};

use super::client::{ANSWER_BYTES_MAX, gateway};
use super::key::ShowKey;

/// Calls a method that takes one request; one answer is a stream of one.
pub(crate) async fn call(path: &str, request: Vec<u8>) -> Result<Streaming<Bytes>, Status> {
    let path = PathAndQuery::try_from(path)
        .map_err(|_| Status::invalid_argument("the method's path is none"))?;
    let channel = InterceptedService::new(gateway(), ShowKey);
    let mut client = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let answers = client.server_streaming(Request::new(request.into()), path, Raw).await?;
    Ok(answers.into_inner())
}

/// Passes messages on as they are.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
