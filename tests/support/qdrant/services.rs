//! The three gRPC services. Methods that autopack does not call are refused by name.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use qdrant_client::qdrant as q;
use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::qdrant_server::Qdrant;
use tonic::{Request, Response, Status};

use super::State;
use super::points;

#[derive(Clone)]
pub struct Service(pub Arc<State>);

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;

impl Service {
    async fn admit<T>(&self, request: Request<T>) -> Result<T, Status> {
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        if self.0.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let key = request.metadata().get("api-key").and_then(|key| key.to_str().ok());
        let expected = self.0.api_key.lock().unwrap().clone();
        if expected.is_some() && expected.as_deref() != key {
            return Err(Status::unauthenticated("Must provide an API key"));
        }
        Ok(request.into_inner())
    }
}

/// Methods of a service: those with a function, and those that are refused.
macro_rules! service {
    ($trait:ident
     answered { $($name:ident($request:ident) -> $response:ident = $answer:path;)* }
     refused { $($refused:ident($refused_request:ident) -> $refused_response:ident;)* }) => {
        impl $trait for Service {
            $(fn $name<'a, 'b>(&'a self, request: Request<q::$request>) -> Answer<'b, q::$response>
            where 'a: 'b, Self: 'b {
                Box::pin(async move {
                    let request = self.admit(request).await?;
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
    health_check(HealthCheckRequest) -> HealthCheckReply = points::health;
} refused {
}}

service! { Collections answered {
    list(ListCollectionsRequest) -> ListCollectionsResponse = points::list;
    create(CreateCollection) -> CollectionOperationResponse = points::create;
    delete(DeleteCollection) -> CollectionOperationResponse = points::drop_collection;
    collection_exists(CollectionExistsRequest) -> CollectionExistsResponse = points::exists;
} refused {
    get(GetCollectionInfoRequest) -> GetCollectionInfoResponse;
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
    upsert(UpsertPoints) -> PointsOperationResponse = points::upsert;
    delete(DeletePoints) -> PointsOperationResponse = points::delete;
    get(GetPoints) -> GetResponse = points::get;
    create_field_index(CreateFieldIndexCollection) -> PointsOperationResponse = points::index_field;
    scroll(ScrollPoints) -> ScrollResponse = points::scroll;
    count(CountPoints) -> CountResponse = points::count;
    query(QueryPoints) -> QueryResponse = points::query;
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
