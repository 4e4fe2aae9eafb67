//! ApiVersions, key 18: what is spoken here? Answered without asking the node. KIP-35, KIP-511.

use kacrab_protocol::generated::api_versions_response::{ApiVersion, ApiVersionsResponseData};

use crate::{
    frame::spells,
    versions::{API_VERSIONS, Listener, Spoken, supported},
};

spells!(api_versions_response::ApiVersionsResponseData);

/// `UNSUPPORTED_VERSION`.
const UNSUPPORTED: i16 = 35;

fn shown(spoken: &Spoken) -> ApiVersion {
    ApiVersion {
        api_key: spoken.key,
        min_version: spoken.shown,
        max_version: spoken.max,
        ..Default::default()
    }
}

/// What a listener speaks.
pub(crate) fn answer(listener: Listener) -> ApiVersionsResponseData {
    ApiVersionsResponseData {
        api_keys: supported(listener).iter().map(shown).collect(),
        ..Default::default()
    }
}

/// The answer, in version 0, to a version that is not spoken: which of this API are.
pub(crate) fn unsupported(listener: Listener) -> ApiVersionsResponseData {
    let own = supported(listener).iter().filter(|spoken| spoken.key == API_VERSIONS);
    ApiVersionsResponseData {
        error_code: UNSUPPORTED,
        api_keys: own.map(shown).collect(),
        ..Default::default()
    }
}
