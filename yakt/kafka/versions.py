"""ApiVersions: what is offered, and which features are in force (rpcs.md §4)."""

import re

from yakt.kafka.apis import API_VERSIONS, APIS
from yakt.kafka.codes import Code
from yakt.kafka.messages import connections as wire
from yakt.metadata.features import KRAFT_VERSION, SUPPORTED
from yakt.metadata.image import MetadataImage

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
ASKED_NODE_ID_SINCE = 5
ZERO_MINIMA_SINCE = 4
"""Below, a supported feature whose minimum is 0 must be left out."""


def refuse_version() -> wire.ApiVersionsResponse:
    """For a version of ApiVersions itself that is not served: what the client may ask instead."""
    api = API_VERSIONS
    return wire.ApiVersionsResponse(Code.UNSUPPORTED_VERSION, (wire.ApiVersion(api.key, api.least, api.most),))


def answer(
    request: wire.ApiVersionsRequest, version: int, image: MetadataImage, cluster_id: str
) -> wire.ApiVersionsResponse:
    """All APIs, and the features as of what is applied here."""
    if version >= API_VERSIONS.flexible_since and not (
        _SOFTWARE.fullmatch(request.client_software_name) and _SOFTWARE.fullmatch(request.client_software_version)
    ):
        return wire.ApiVersionsResponse(Code.INVALID_REQUEST)
    if version >= ASKED_NODE_ID_SINCE and request.cluster_id not in (None, cluster_id):
        return wire.ApiVersionsResponse(Code.INCONSISTENT_CLUSTER_ID)
    levels = {row.name: row.level for row in image.features.rows()} | {KRAFT_VERSION: image.kraft_version}
    return wire.ApiVersionsResponse(
        api_keys=tuple(wire.ApiVersion(api.key, api.least, api.most) for api in APIS.values()),
        supported_features=tuple(
            wire.SupportedFeature(name, least, most)
            for name, (least, most) in SUPPORTED.items()
            if least > 0 or version >= ZERO_MINIMA_SINCE
        ),
        finalized_features_epoch=image.end_offset - 1,
        finalized_features=tuple(
            wire.FinalizedFeature(name, level, level) for name, level in sorted(levels.items()) if level > 0
        ),
    )
