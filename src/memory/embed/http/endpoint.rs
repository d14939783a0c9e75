//! Endpoint settings: address, model name, and API key.

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::memory::embed::EmbedError;

/// Parses the address. Errors do not repeat the address, because an address may hold a password.
pub(super) fn endpoint(url: &str) -> Result<Url, EmbedError> {
    let failed = |why: &str| EmbedError::Setup(format!("memory.embedder.url {why}"));
    let mut url: Url = url.parse().map_err(|_| failed("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failed("must start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(failed(
            "contains a user name or password; name an environment variable in api_key_env instead",
        ));
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("embeddings");
    }
    Ok(url)
}

/// Returns the identity of the model. The host is included because two endpoints may use the same name for different
/// models.
pub(super) fn id(endpoint: &Url, model: &str) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("http-{host}{port}-{model}")
}

pub(super) fn bearer(key: &str, name: &str) -> Result<HeaderValue, EmbedError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim())).map_err(|_| {
        EmbedError::Setup(format!(
            "the value of {name} contains characters that an API key cannot have"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}
