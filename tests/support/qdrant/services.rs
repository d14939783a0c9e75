//! The three gRPC services. Methods not used by autopack are refused by name.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use qdrant_client::qdrant as q;
use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::qdrant_server::Qdrant;
use tonic::{Request, Response, Status};

use super::points;
use super::{Rights, State};

#[derive(Clone)]
pub struct Service(pub Arc<State>);

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;

/// Rights required for a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Health checks need no key.
    Nothing,
    Read,
    Write,
}

impl Service {
    async fn admit<T>(&self, request: Request<T>, need: Need) -> Result<T, Status> {
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        if self.0.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let header = |name| request.metadata().get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let rights = self.0.rights(header("api-key").or(bearer));
        match (need, rights) {
            (Need::Nothing, _) | (Need::Read, Ok(_)) | (Need::Write, Ok(Rights::Write)) => {
                Ok(request.into_inner())
            }
            (Need::Write, Ok(Rights::Read)) => {
                Err(Status::permission_denied("Forbidden: Global manage access is required"))
            }
            (_, Err(why)) => Err(Status::unauthenticated(why)),
        }
    }
}

/// Methods of a service: implemented ones with the required rights, and refused ones.
macro_rules! service {
    ($trait:ident
     answered { $($need:ident $name:ident($request:ident) -> $response:ident = $answer:path;)* }
     refused { $($refused:ident($refused_request:ident) -> $refused_response:ident;)* }) => {
        impl $trait for Service {
            $(fn $name<'a, 'b>(&'a self, request: Request<q::$request>) -> Answer<'b, q::$response>
            where 'a: 'b, Self: 'b {
                Box::pin(async move {
                    let request = self.admit(request, Need::$need).await?;
                    $answer(&self.0, request).map(Response::new)
                })
            })*
            $(fn $refused<'a, 'b>(&'a self, _: Request<q::$refused_request>) -> Answer<'b, q::$refused_response>
            where 'a: 'b, Self: 'b {
                Box::pin(async { Err(Status::unimplemented(concat!("no ", stringify!($refused), " here"))) })
            })*
        }
    };
}

service! { Qdrant answered {
    Nothing health_check(HealthCheckRequest) -> HealthCheckReply = points::health;
} refused {
}}

service! { Collections answered {
    Read list(ListCollectionsRequest) -> ListCollectionsResponse = points::list;
    Write create(CreateCollection) -> CollectionOperationResponse = points::create;
    Write delete(DeleteCollection) -> CollectionOperationResponse = points::drop_collection;
    Read get(GetCollectionInfoRequest) -> GetCollectionInfoResponse = points::info;
    Read collection_exists(CollectionExistsRequest) -> CollectionExistsResponse = points::exists;
} refused {
    update(UpdateCollection) -> CollectionOperationResponse;
    update_aliases(ChangeAliases) -> CollectionOperationResponse;
    list_collection_aliases(ListCollectionAliasesRequest) -> ListAliasesResponse;
    list_aliases(ListAliasesRequest) -> ListAliasesResponse;
    collection_cluster_info(CollectionClusterInfoRequest) -> CollectionClusterInfoResponse;
    update_collection_cluster_setup(UpdateCollectionClusterSetupRequest) -> UpdateCollectionClusterSetupResponse;
    create_shard_key(CreateShardKeyRequest) -> CreateShardKeyResponse;
    delete_shard_key(DeleteShardKeyRequest) -> DeleteShardKeyResponse;
    list_shard_keys(ListShardKeysRequest) -> ListShardKeysResponse;
}}

service! { Points answered {
    Write upsert(UpsertPoints) -> PointsOperationResponse = points::upsert;
    Write delete(DeletePoints) -> PointsOperationResponse = points::delete;
    Read get(GetPoints) -> GetResponse = points::get;
    Write create_field_index(CreateFieldIndexCollection) -> PointsOperationResponse = points::index_field;
    Read scroll(ScrollPoints) -> ScrollResponse = points::scroll;
    Read count(CountPoints) -> CountResponse = points::count;
    Read query(QueryPoints) -> QueryResponse = points::query;
} refused {
    update_vectors(UpdatePointVectors) -> PointsOperationResponse;
    delete_vectors(DeletePointVectors) -> PointsOperationResponse;
    set_payload(SetPayloadPoints) -> PointsOperationResponse;
    overwrite_payload(SetPayloadPoints) -> PointsOperationResponse;
    delete_payload(DeletePayloadPoints) -> PointsOperationResponse;
    clear_payload(ClearPayloadPoints) -> PointsOperationResponse;
    delete_field_index(DeleteFieldIndexCollection) -> PointsOperationResponse;
    create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse;
    delete_vector_name(DeleteVectorNameRequest) -> PointsOperationResponse;
    search(SearchPoints) -> SearchResponse;
    search_batch(SearchBatchPoints) -> SearchBatchResponse;
    search_groups(SearchPointGroups) -> SearchGroupsResponse;
    recommend(RecommendPoints) -> RecommendResponse;
    recommend_batch(RecommendBatchPoints) -> RecommendBatchResponse;
    recommend_groups(RecommendPointGroups) -> RecommendGroupsResponse;
    discover(DiscoverPoints) -> DiscoverResponse;
    discover_batch(DiscoverBatchPoints) -> DiscoverBatchResponse;
    update_batch(UpdateBatchPoints) -> UpdateBatchResponse;
    query_batch(QueryBatchPoints) -> QueryBatchResponse;
    query_groups(QueryPointGroups) -> QueryGroupsResponse;
    facet(FacetCounts) -> FacetResponse;
    search_matrix_pairs(SearchMatrixPoints) -> SearchMatrixPairsResponse;
    search_matrix_offsets(SearchMatrixPoints) -> SearchMatrixOffsetsResponse;
}}
