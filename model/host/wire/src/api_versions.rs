//! ApiVersions, key 18: what is spoken here? Answered without asking the node. KIP-35, KIP-511.

use kacrab_protocol::generated::api_versions_response::{
    ApiVersion, ApiVersionsResponseData, FinalizedFeatureKey, SupportedFeatureKey,
};

use crate::{
    convert::string,
    frame::spells,
    versions::{API_VERSIONS, Listener, Spoken, supported},
};

spells!(api_versions_response::ApiVersionsResponseData);

/// `UNSUPPORTED_VERSION`.
const UNSUPPORTED: i16 = 35;

/// The feature that says whether there are groups of KIP-848, and the level at which there are. A cluster of ours
/// begins at it and stays there; so what is said of features never changes.
const GROUPS: &str = "group.version";
const GROUPS_LEVEL: i16 = 1;
const FEATURES_EPOCH: i64 = 0;
/// A feature that may also be off is told of since version 4: earlier clients could not read it (KAFKA-17492).
const MAY_BE_OFF: i16 = 4;

fn shown(spoken: &Spoken) -> ApiVersion {
    ApiVersion {
        api_key: spoken.key,
        min_version: spoken.shown,
        max_version: spoken.last_shown,
        ..Default::default()
    }
}

/// What a listener speaks, and which features there are.
pub(crate) fn answer(listener: Listener, version: i16) -> ApiVersionsResponseData {
    let may_be =
        SupportedFeatureKey { name: string(GROUPS), max_version: GROUPS_LEVEL, ..Default::default() };
    let is = FinalizedFeatureKey {
        name: string(GROUPS),
        min_version_level: GROUPS_LEVEL,
        max_version_level: GROUPS_LEVEL,
        ..Default::default()
    };
    ApiVersionsResponseData {
        api_keys: supported(listener).iter().map(shown).collect(),
        supported_features: Some(may_be).filter(|_| version >= MAY_BE_OFF).into_iter().collect(),
        finalized_features_epoch: FEATURES_EPOCH,
        finalized_features: vec![is],
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
