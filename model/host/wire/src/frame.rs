//! What stands around every message: its size, its API, its number?

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use kacrab_protocol::{
    ProtocolError,
    generated::{request_header::RequestHeaderData, response_header::ResponseHeaderData},
    version::{request_header_version, response_header_version},
};

use crate::{call::Call, convert::string};

/// How many bytes the size takes that stands before every frame.
pub const SIZE_BYTES: usize = 4;

/// Why a frame gets no answer, and its connection is closed, as Kafka does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not say what its API and version promise.
    Malformed,
    /// Its API is not spoken at this listener.
    UnknownApi {
        /// Which.
        key: i16,
    },
    /// Its version is not spoken.
    UnknownVersion {
        /// Of which API.
        key: i16,
        /// Which.
        version: i16,
    },
    /// An answer that cannot be spelled in the version asked for, or answers another request.
    Unspeakable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Malformed => f.write_str("a malformed frame"),
            Refused::UnknownApi { key } => write!(f, "API {key} is not spoken here"),
            Refused::UnknownVersion { key, version } => {
                write!(f, "version {version} of API {key} is not spoken here")
            }
            Refused::Unspeakable => f.write_str("no answer can be spelled"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<ProtocolError> for Refused {
    fn from(_: ProtocolError) -> Refused {
        Refused::Malformed
    }
}

/// What a request says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client: Option<String>,
}

/// The first eight bytes of every request, whatever its API and version.
pub(crate) fn peek(frame: &[u8]) -> Result<(i16, i16, i32), Refused> {
    let Some([k0, k1, v0, v1, c0, c1, c2, c3]) = frame.first_chunk::<8>() else {
        return Err(Refused::Malformed);
    };
    Ok((
        i16::from_be_bytes([*k0, *k1]),
        i16::from_be_bytes([*v0, *v1]),
        i32::from_be_bytes([*c0, *c1, *c2, *c3]),
    ))
}

/// Takes the header off a request's frame.
pub(crate) fn read_header(frame: &mut Bytes) -> Result<Header, Refused> {
    let (key, version, _) = peek(frame)?;
    let header = RequestHeaderData::read(frame, request_header_version(key, version))?;
    Ok(Header {
        key,
        version,
        correlation: header.correlation_id,
        client: header.client_id.map(|client| client.as_str().to_owned()),
    })
}

/// A message that can be spelled.
pub(crate) trait Spell {
    fn length(&self, version: i16) -> Result<usize, ProtocolError>;
    fn spell(&self, out: &mut BytesMut, version: i16) -> Result<(), ProtocolError>;
}

macro_rules! spells {
    ($($module:ident::$ty:ident),* $(,)?) => { $(
        impl $crate::frame::Spell for kacrab_protocol::generated::$module::$ty {
            fn length(&self, version: i16) -> Result<usize, kacrab_protocol::ProtocolError> {
                self.encoded_len(version)
            }
            fn spell(
                &self,
                out: &mut bytes::BytesMut,
                version: i16,
            ) -> Result<(), kacrab_protocol::ProtocolError> {
                self.write(out, version)
            }
        }
    )* };
}
pub(crate) use spells;

fn finish(mut out: BytesMut) -> Result<Bytes, Refused> {
    let size = i32::try_from(out.len() - SIZE_BYTES).map_err(|_| Refused::Unspeakable)?;
    out[..SIZE_BYTES].copy_from_slice(&size.to_be_bytes());
    Ok(out.freeze())
}

/// A response's frame, its size before it.
pub(crate) fn write_answer(call: &Call, message: &impl Spell) -> Result<Bytes, Refused> {
    write_answer_as(call, call.version, message)
}

/// [`write_answer`] in another version than the request's: only ApiVersions has that.
pub(crate) fn write_answer_as(call: &Call, version: i16, message: &impl Spell) -> Result<Bytes, Refused> {
    let spell = || -> Result<BytesMut, ProtocolError> {
        let header = ResponseHeaderData { correlation_id: call.correlation, ..Default::default() };
        let header_version = response_header_version(call.key, version);
        let length = header.encoded_len(header_version)? + message.length(version)?;
        let mut out = BytesMut::with_capacity(SIZE_BYTES + length);
        out.put_i32(0);
        header.write(&mut out, header_version)?;
        message.spell(&mut out, version)?;
        Ok(out)
    };
    finish(spell().map_err(|_| Refused::Unspeakable)?)
}

/// A request's frame, its size before it.
pub(crate) fn write_question(call: &Call, client: &str, message: &impl Spell) -> Result<Bytes, Refused> {
    let spell = || -> Result<BytesMut, ProtocolError> {
        let header = RequestHeaderData {
            request_api_key: call.key,
            request_api_version: call.version,
            correlation_id: call.correlation,
            client_id: Some(string(client)),
            ..Default::default()
        };
        let header_version = request_header_version(call.key, call.version);
        let length = header.encoded_len(header_version)? + message.length(call.version)?;
        let mut out = BytesMut::with_capacity(SIZE_BYTES + length);
        out.put_i32(0);
        header.write(&mut out, header_version)?;
        message.spell(&mut out, call.version)?;
        Ok(out)
    };
    finish(spell().map_err(|_| Refused::Unspeakable)?)
}

/// Takes the header off a response's frame; refuses one that answers another request.
pub(crate) fn read_answer_header(call: &Call, frame: &mut Bytes) -> Result<(), Refused> {
    let header = ResponseHeaderData::read(frame, response_header_version(call.key, call.version))?;
    if header.correlation_id == call.correlation { Ok(()) } else { Err(Refused::Unspeakable) }
}
