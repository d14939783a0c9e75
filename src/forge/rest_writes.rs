//! Requests that write: sent once each, because a repeated one could write twice. Whoever repeats looks first.

use reqwest::Method;
use serde_json::Value;

use super::forge_error::ForgeError;
use super::rest_client::{HOPS, RestClient, receive};

impl RestClient {
    /// Sends an object, and returns the answer. Waits for rate limits and follows redirects on the same host; both mean
    /// that nothing was written yet.
    ///
    /// # Errors
    /// Any error of the request. After [`ForgeError::Unreachable`] and [`ForgeError::Server`], the server may have
    /// written the object.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        object: &Value,
    ) -> Result<Value, ForgeError> {
        let (mut target, mut hops, mut waits) = (self.url(path, &[])?, 0, 0);
        loop {
            let request = self.request(method.clone(), &target).json(object);
            let answer = receive(request).await;
            let answer =
                answer.map_err(|why| ForgeError::Unreachable { host: self.host(), why })?;
            match answer.status {
                200..=299 => {
                    return serde_json::from_str(&answer.body)
                        .map_err(|error| self.malformed(format!("no JSON ({error})")));
                }
                301 | 302 | 307 | 308 => {
                    target = self.redirect(&target, &answer)?;
                    if hops == HOPS {
                        return Err(self.redirect_loop(&target));
                    }
                    hops += 1;
                }
                _ => self.wait_for_limit(&answer, 0, &mut waits).await?,
            }
        }
    }
}
