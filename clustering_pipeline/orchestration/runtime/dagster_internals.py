"""What is used of Dagster beyond its public interface: nothing else imports it, and Dagster is
pinned to its minor.
"""

from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph, BaseAssetNode
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.tags import GRPC_INFO_TAG, MAX_RETRIES_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "GRPC_INFO_TAG",
    "MAX_RETRIES_TAG",
    "AssetGraph",
    "BaseAssetGraph",
    "BaseAssetNode",
    "CanCancelExecutionRequest",
    "CanCancelExecutionResult",
    "DagsterGrpcClient",
    "DagsterUserCodeUnreachableError",
    "SerializableErrorInfo",
    "UnresolvedAssetJobDefinition",
]
