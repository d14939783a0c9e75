//! Collections and points of the stand-in in memory, with Qdrant's answers.

use std::collections::HashMap;
use std::sync::MutexGuard;

use qdrant_client::qdrant as q;
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{query as query_kind, vector_input, vectors_config};
use tonic::Status;

use super::storage::{self, Change, Collections, StoredPoint};
use super::{Collection, Point, State};

type Answer<T> = Result<T, Status>;

pub fn health(_: &State, _: q::HealthCheckRequest) -> Answer<q::HealthCheckReply> {
    Ok(q::HealthCheckReply {
        title: "qdrant - vector search engine".into(),
        version: "1.19.0".into(),
        commit: None,
    })
}

pub fn list(state: &State, _: q::ListCollectionsRequest) -> Answer<q::ListCollectionsResponse> {
    let names = collections(state).keys().cloned().collect::<Vec<_>>();
    let collections = names.into_iter().map(|name| q::CollectionDescription { name }).collect();
    Ok(q::ListCollectionsResponse { collections, time: 0.0 })
}

pub fn create(
    state: &State,
    request: q::CreateCollection,
) -> Answer<q::CollectionOperationResponse> {
    let config = request.vectors_config.and_then(|config| config.config);
    let Some(vectors_config::Config::Params(params)) = config else {
        return Err(Status::invalid_argument("one unnamed vector is all that is known here"));
    };
    let collection = request.collection_name;
    let mut collections = collections(state);
    if collections.contains_key(&collection) {
        let why = format!("Collection `{collection}` already exists!");
        return Err(Status::already_exists(why));
    }
    let (dimensions, distance) = (params.size, params.distance().into());
    change(state, &mut collections, Change::Create { collection, dimensions, distance })?;
    Ok(q::CollectionOperationResponse { result: true, time: 0.0 })
}

pub fn drop_collection(
    state: &State,
    request: q::DeleteCollection,
) -> Answer<q::CollectionOperationResponse> {
    let collection = request.collection_name;
    let mut collections = collections(state);
    let result = collections.contains_key(&collection);
    if result {
        change(state, &mut collections, Change::Drop { collection })?;
    }
    Ok(q::CollectionOperationResponse { result, time: 0.0 })
}

pub fn info(
    state: &State,
    request: q::GetCollectionInfoRequest,
) -> Answer<q::GetCollectionInfoResponse> {
    with(state, &request.collection_name, |collection| {
        let params = q::VectorParams {
            size: collection.dimensions,
            distance: collection.distance.into(),
            ..q::VectorParams::default()
        };
        let vectors_config =
            Some(q::VectorsConfig { config: Some(vectors_config::Config::Params(params)) });
        let params = Some(q::CollectionParams { vectors_config, ..Default::default() });
        let result = Some(q::CollectionInfo {
            config: Some(q::CollectionConfig { params, ..Default::default() }),
            points_count: Some(collection.points.len() as u64),
            ..Default::default()
        });
        Ok(q::GetCollectionInfoResponse { result, time: 0.0 })
    })
}

pub fn exists(
    state: &State,
    request: q::CollectionExistsRequest,
) -> Answer<q::CollectionExistsResponse> {
    let exists = collections(state).contains_key(&request.collection_name);
    Ok(q::CollectionExistsResponse { result: Some(q::CollectionExists { exists }), time: 0.0 })
}

pub fn index_field(
    state: &State,
    request: q::CreateFieldIndexCollection,
) -> Answer<q::PointsOperationResponse> {
    let (collection, field) = (request.collection_name, request.field_name);
    let mut collections = collections(state);
    present(&collections, &collection)?;
    change(state, &mut collections, Change::Index { collection, field })
}

pub fn upsert(state: &State, request: q::UpsertPoints) -> Answer<q::PointsOperationResponse> {
    let collection = request.collection_name;
    let mut collections = collections(state);
    let expected = present(&collections, &collection)?.dimensions;
    let mut points = Vec::new();
    for point in request.points {
        let id = id(point.id)?;
        let vector = dense(point.vectors)?;
        fits(&vector, expected)?;
        let point = Point { payload: point.payload, vector };
        points.push(StoredPoint::new(&id, &point).map_err(Status::invalid_argument)?);
    }
    change(state, &mut collections, Change::Upsert { collection, points })
}

pub fn delete(state: &State, request: q::DeletePoints) -> Answer<q::PointsOperationResponse> {
    let selector = request.points.and_then(|points| points.points_selector_one_of);
    let collection = request.collection_name;
    let mut collections = collections(state);
    let points = &present(&collections, &collection)?.points;
    let ids = match selector {
        Some(PointsSelectorOneOf::Points(list)) => {
            list.ids.into_iter().map(|point| id(Some(point))).collect::<Answer<_>>()?
        }
        Some(PointsSelectorOneOf::Filter(filter)) => {
            let matching = points.iter().filter(|(id, point)| matches(&filter, id, point));
            matching.map(|(id, _)| id.clone()).collect()
        }
        None => return Err(Status::invalid_argument("no points selected")),
    };
    change(state, &mut collections, Change::Delete { collection, ids })
}

pub fn get(state: &State, request: q::GetPoints) -> Answer<q::GetResponse> {
    let (payload, vectors) = (request.with_payload, request.with_vectors);
    with(state, &request.collection_name, |collection| {
        let mut result = Vec::new();
        for wanted in request.ids {
            let id = id(Some(wanted))?;
            if let Some(point) = collection.points.get(&id) {
                result.push(retrieved(&id, point, payload.as_ref(), vectors.as_ref()));
            }
        }
        Ok(q::GetResponse { result, time: 0.0, usage: None })
    })
}

pub fn scroll(state: &State, request: q::ScrollPoints) -> Answer<q::ScrollResponse> {
    let from = request.offset.map(|offset| id(Some(offset))).transpose()?.unwrap_or_default();
    let filter = request.filter.unwrap_or_default();
    let limit = request.limit.unwrap_or(10) as usize;
    let (payload, vectors) = (request.with_payload, request.with_vectors);
    with(state, &request.collection_name, |collection| {
        let mut matching = collection
            .points
            .range(from..)
            .filter(|(id, point)| matches(&filter, id, point))
            .map(|(id, point)| retrieved(id, point, payload.as_ref(), vectors.as_ref()));
        let result: Vec<q::RetrievedPoint> = matching.by_ref().take(limit).collect();
        let next_page_offset = matching.next().and_then(|point| point.id);
        Ok(q::ScrollResponse { next_page_offset, result, time: 0.0, usage: None })
    })
}

pub fn count(state: &State, request: q::CountPoints) -> Answer<q::CountResponse> {
    let filter = request.filter.unwrap_or_default();
    with(state, &request.collection_name, |collection| {
        let points = collection.points.iter();
        let count = points.filter(|(id, point)| matches(&filter, id, point)).count() as u64;
        Ok(q::CountResponse { result: Some(q::CountResult { count }), time: 0.0, usage: None })
    })
}

pub fn query(state: &State, request: q::QueryPoints) -> Answer<q::QueryResponse> {
    let variant = request.query.and_then(|query| query.variant);
    let Some(query_kind::Variant::Nearest(nearest)) = variant else {
        return Err(Status::invalid_argument("only nearest neighbours are known here"));
    };
    let Some(vector_input::Variant::Dense(dense)) = nearest.variant else {
        return Err(Status::invalid_argument("only dense vectors are known here"));
    };
    let filter = request.filter.unwrap_or_default();
    with(state, &request.collection_name, |collection| {
        fits(&dense.data, collection.dimensions)?;
        let points = collection.points.iter().filter(|(id, point)| matches(&filter, id, point));
        let payload = request.with_payload.as_ref();
        let mut result: Vec<q::ScoredPoint> = points
            .map(|(id, point)| scored(id, point, cosine(&dense.data, &point.vector), payload))
            .collect();
        result.sort_by(|a, b| b.score.total_cmp(&a.score));
        result.truncate(request.limit.unwrap_or(10) as usize);
        Ok(q::QueryResponse { result, time: 0.0, usage: None })
    })
}

fn collections(state: &State) -> MutexGuard<'_, Collections> {
    state.collections.lock().unwrap()
}

fn present<'a>(collections: &'a Collections, name: &str) -> Answer<&'a Collection> {
    collections
        .get(name)
        .ok_or_else(|| Status::not_found(format!("Not found: Collection `{name}` doesn't exist!")))
}

fn with<T>(state: &State, name: &str, read: impl FnOnce(&Collection) -> Answer<T>) -> Answer<T> {
    read(present(&collections(state), name)?)
}

/// Writes to the file, then to memory, then answers.
fn change(
    state: &State,
    collections: &mut Collections,
    change: Change,
) -> Answer<q::PointsOperationResponse> {
    if let Some(file) = state.storage.lock().unwrap().as_mut() {
        storage::append(file, &change).map_err(|error| Status::internal(error.to_string()))?;
    }
    storage::apply(collections, change);
    Ok(done())
}

fn done() -> q::PointsOperationResponse {
    let status = q::UpdateStatus::Completed.into();
    let result = Some(q::UpdateResult { operation_id: Some(1), status });
    q::PointsOperationResponse { result, time: 0.0, usage: None }
}

fn id(id: Option<q::PointId>) -> Answer<String> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(uuid)) if uuid.len() == 36 => Ok(uuid),
        other => Err(Status::invalid_argument(format!("{other:?} is no UUID"))),
    }
}

fn dense(vectors: Option<q::Vectors>) -> Answer<Vec<f32>> {
    use q::vector::Vector;
    use q::vectors::VectorsOptions;
    match vectors.and_then(|vectors| vectors.vectors_options) {
        Some(VectorsOptions::Vector(vector)) => match vector.vector {
            Some(Vector::Dense(dense)) => Ok(dense.data),
            #[allow(deprecated)]
            None => Ok(vector.data),
            _ => Err(Status::invalid_argument("only dense vectors are known here")),
        },
        _ => Err(Status::invalid_argument("only unnamed vectors are known here")),
    }
}

fn output(point: &Point) -> Option<q::VectorsOutput> {
    let dense = q::DenseVector { data: point.vector.clone() };
    let vector = q::VectorOutput {
        vector: Some(q::vector_output::Vector::Dense(dense)),
        ..q::VectorOutput::default()
    };
    let options = q::vectors_output::VectorsOptions::Vector(vector);
    Some(q::VectorsOutput { vectors_options: Some(options) })
}

fn retrieved(
    id: &str,
    point: &Point,
    payload: Option<&q::WithPayloadSelector>,
    vectors: Option<&q::WithVectorsSelector>,
) -> q::RetrievedPoint {
    q::RetrievedPoint {
        id: Some(q::PointId::from(id)),
        payload: selected(&point.payload, payload, true),
        vectors: wants_vectors(vectors).then(|| output(point)).flatten(),
        ..q::RetrievedPoint::default()
    }
}

fn scored(
    id: &str,
    point: &Point,
    score: f32,
    payload: Option<&q::WithPayloadSelector>,
) -> q::ScoredPoint {
    q::ScoredPoint {
        id: Some(q::PointId::from(id)),
        payload: selected(&point.payload, payload, false),
        score,
        ..q::ScoredPoint::default()
    }
}

/// Supports `must` and `should` with keywords and ids, as used by autopack. Any other filter matches nothing, so that a test
/// notices.
fn matches(filter: &q::Filter, id: &str, point: &Point) -> bool {
    let is_supported = filter.must_not.is_empty() && filter.min_should.is_none();
    let any = || filter.should.iter().any(|condition| holds(condition, id, point));
    is_supported
        && filter.must.iter().all(|condition| holds(condition, id, point))
        && (filter.should.is_empty() || any())
}

fn holds(condition: &q::Condition, id: &str, point: &Point) -> bool {
    match &condition.condition_one_of {
        Some(ConditionOneOf::HasId(list)) => {
            list.has_id.iter().any(|wanted| self::id(Some(wanted.clone())).is_ok_and(|w| w == id))
        }
        Some(ConditionOneOf::Field(field)) => {
            let value = point.payload.get(&field.key).and_then(|value| value.kind.as_ref());
            let wanted = field.r#match.as_ref().and_then(|m| m.match_value.as_ref());
            match (value, wanted) {
                (Some(Kind::StringValue(value)), Some(MatchValue::Keyword(wanted))) => {
                    value == wanted
                }
                _ => false,
            }
        }
        _ => false,
    }
}

fn fits(vector: &[f32], expected: u64) -> Answer<()> {
    if vector.len() as u64 == expected {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "Wrong input: Vector dimension error: expected dim: {expected}, got {}",
        vector.len()
    )))
}

/// Returns only the requested parts; a search returns none by default.
fn selected(
    payload: &HashMap<String, q::Value>,
    selector: Option<&q::WithPayloadSelector>,
    otherwise: bool,
) -> HashMap<String, q::Value> {
    use q::with_payload_selector::SelectorOptions;
    let chosen = |keeps: &dyn Fn(&String) -> bool| {
        payload.iter().filter(|(key, _)| keeps(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        None => chosen(&|_| otherwise),
        Some(SelectorOptions::Enable(all)) => chosen(&|_| *all),
        Some(SelectorOptions::Include(only)) => chosen(&|key| only.fields.contains(key)),
        Some(SelectorOptions::Exclude(but)) => chosen(&|key| !but.fields.contains(key)),
    }
}

fn wants_vectors(selector: Option<&q::WithVectorsSelector>) -> bool {
    use q::with_vectors_selector::SelectorOptions;
    let options = selector.and_then(|selector| selector.selector_options.as_ref());
    matches!(options, Some(SelectorOptions::Enable(true)))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}
