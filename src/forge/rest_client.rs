//! Requests to a REST API, the same for all forges: the token, pages, ETags, redirects, retries and rate limits. What
//! is asked is up to the callers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, ETAG, HeaderMap, IF_NONE_MATCH, LINK, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::answer_fields::{answer_message, text};
use super::forge_error::ForgeError;
use super::kept_pages::{KeptPage, KeptPages};
use super::rate_limit;
use super::token::{self, ForgeToken};
use super::tracker_name::{ForgeKind, TrackerName};
use crate::http::{self, HttpAccess, Limits};
use crate::phase::words::hex;

const LIMITS: Limits = Limits { whole: Duration::from_secs(60), silence: Duration::from_secs(20) };
/// Retries of a request after server errors and broken connections.
const RETRIES: u32 = 3;
/// First pause before a retry; the pause doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for the end of a rate limit, and the number of such waits for a request.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
const WAITS: u32 = 2;
/// Redirects followed for a request.
pub(super) const HOPS: u32 = 5;
/// Maximum size of an answer in bytes: a page holds up to 100 issues of 64 KiB and more.
const MOST_BYTES: usize = 64 << 20;
/// Maximum number of pages of a list.
const MOST_PAGES: usize = 500;
/// Characters of the server's message in an error.
const SHOWN_CHARS: usize = 160;

/// A client for the API of one repository.
#[derive(Debug)]
pub(super) struct RestClient {
    client: Client,
    base: Url,
    tracker: TrackerName,
    token: Option<ForgeToken>,
    kept: KeptPages,
    was_redirected: AtomicBool,
}

/// A part of a list, or a single object.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub value: Value,
    pub next: Option<Url>,
    /// Digest of the text, the same as long as the content is.
    pub digest: String,
}

pub(super) struct Answer {
    pub status: u16,
    headers: HeaderMap,
    pub body: String,
}

impl RestClient {
    /// Creates a client for the API at `base`.
    ///
    /// # Errors
    /// TLS cannot be configured.
    pub fn new(
        tracker: TrackerName,
        base: Url,
        token: Option<ForgeToken>,
        kept: KeptPages,
    ) -> Result<Self, ForgeError> {
        let client = http::client(LIMITS, HttpAccess::of(&base))
            .map_err(|error| ForgeError::Setup(error.to_string()))?;
        Ok(Self { client, base, tracker, token, kept, was_redirected: AtomicBool::new(false) })
    }

    pub fn tracker(&self) -> &TrackerName {
        &self.tracker
    }

    /// Writes the pages of this client for the next one.
    pub fn keep_pages(&self) {
        self.kept.write();
    }

    /// Returns whether the repository has another name now.
    fn was_redirected(&self) -> bool {
        self.was_redirected.load(Ordering::Relaxed)
    }

    /// Gets a single object, or the first page of a list.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Page, ForgeError> {
        self.get_url(self.url(path, query)?).await
    }

    /// Gets all items of a list. `items` finds them in a page.
    ///
    /// # Errors
    /// Any error of a request, or a page without items.
    pub async fn get_all(
        &self,
        path: &str,
        query: &[(&str, &str)],
        items: impl Fn(Value) -> Option<Vec<Value>>,
    ) -> Result<Vec<Value>, ForgeError> {
        let mut all = Vec::new();
        let mut next = Some(self.url(path, query)?);
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { break };
            let page = self.get_url(url).await?;
            all.extend(items(page.value).ok_or_else(|| self.malformed("a list is missing"))?);
            next = page.next;
        }
        match next {
            None => Ok(all),
            Some(_) => Err(self.malformed(format!("a list has more than {MOST_PAGES} pages"))),
        }
    }

    /// Creates the error of an answer without the expected form.
    pub fn malformed(&self, why: impl Into<String>) -> ForgeError {
        ForgeError::Malformed {
            host: self.host(),
            forge: match self.tracker.kind {
                ForgeKind::GitHub => "GitHub",
                ForgeKind::GitLab => "GitLab",
                ForgeKind::Gitea => "Gitea",
            },
            why: why.into(),
        }
    }

    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, ForgeError> {
        let base = self.base.as_str().trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}/{path}"))
            .map_err(|error| ForgeError::Setup(format!("the API address is invalid: {error}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn get_url(&self, url: Url) -> Result<Page, ForgeError> {
        let kept = self.kept.find(url.as_str());
        let (mut target, mut hops, mut retries, mut waits) = (url.clone(), 0, 0, 0);
        loop {
            let answer = match self.send(&target, kept.as_ref()).await {
                Ok(answer) if answer.status >= 500 && retries < RETRIES => {
                    Err(answer.status.to_string())
                }
                Ok(answer) => Ok(answer),
                Err(why) if retries < RETRIES => Err(why),
                Err(why) => return Err(ForgeError::Unreachable { host: self.host(), why }),
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(why) => {
                    tracing::debug!("asking {} again: {why}", self.host());
                    tokio::time::sleep(PAUSE * 2_u32.pow(retries)).await;
                    retries += 1;
                    continue;
                }
            };
            match answer.status {
                200..=299 => return self.page(&url, &target, &answer),
                304 => {
                    let kept =
                        kept.ok_or_else(|| self.malformed("an unknown page is unchanged"))?;
                    tracing::debug!("{} has no change on a page", self.host());
                    let mut page = self.kept_page(&kept)?;
                    // A page that is full since then has another one behind it.
                    page.next = next_page(&target, &answer.headers).or(page.next);
                    return Ok(page);
                }
                301 | 302 | 307 | 308 => {
                    target = self.redirect(&target, &answer)?;
                    if hops == HOPS {
                        return Err(self.redirect_loop(&target));
                    }
                    hops += 1;
                }
                _ => self.wait_for_limit(&answer, RETRIES, &mut waits).await?,
            }
        }
    }

    /// Sends a request for a page; `Err` is the reason in words.
    async fn send(&self, url: &Url, kept: Option<&KeptPage>) -> Result<Answer, String> {
        let mut request = self.request(Method::GET, url);
        if let Some(kept) = kept {
            request = request.header(IF_NONE_MATCH, &kept.etag);
        }
        receive(request).await
    }

    /// Begins a request, with the headers of all requests.
    pub(super) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let mut request =
            self.client.request(method, url.clone()).header(ACCEPT, self.media_type());
        if self.tracker.kind == ForgeKind::GitHub {
            request = request.header("x-github-api-version", "2022-11-28");
        }
        if let Some(header) = self.token.as_ref().and_then(|token| token.header(self.tracker.kind))
        {
            request = request.header(AUTHORIZATION, header);
        }
        request
    }

    fn media_type(&self) -> &'static str {
        match self.tracker.kind {
            ForgeKind::GitHub => "application/vnd.github+json",
            ForgeKind::GitLab | ForgeKind::Gitea => "application/json",
        }
    }

    /// Reads a page, and keeps the text under the request if the server can tell later whether it changed.
    fn page(&self, asked: &Url, answered: &Url, answer: &Answer) -> Result<Page, ForgeError> {
        let page = KeptPage {
            url: asked.to_string(),
            etag: header(&answer.headers, ETAG.as_str()).unwrap_or_default().to_owned(),
            next: next_page(answered, &answer.headers).map(Into::into),
            body: answer.body.clone(),
        };
        let parsed = self.kept_page(&page)?;
        if !page.etag.is_empty() {
            self.kept.keep(page);
        }
        Ok(parsed)
    }

    fn kept_page(&self, page: &KeptPage) -> Result<Page, ForgeError> {
        let value = serde_json::from_str(&page.body)
            .map_err(|error| self.malformed(format!("no JSON ({error})")))?;
        let next = page.next.as_deref().and_then(|next| Url::parse(next).ok());
        Ok(Page { value, next, digest: hex(&Sha256::digest(page.body.as_bytes())) })
    }

    /// Returns the present name of a renamed repository: the field `name` of the answer at `path`. `None` without a rename.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn present_name(&self, path: &str, name: &str) -> Result<Option<String>, ForgeError> {
        if !self.was_redirected() {
            return Ok(None);
        }
        let answer = self.get(path, &[]).await?;
        let name = text(&answer.value, name);
        Ok((!name.is_empty() && name != self.tracker().path).then_some(name))
    }

    /// Returns the mark of a list that begins with the issue changed last; `None` if that was just now: further changes
    /// in the same second would have the same mark.
    pub fn mark_of_changes(page: &Page) -> Option<String> {
        let latest = page.value[0]["updated_at"].as_str();
        let latest: Option<Timestamp> = latest.and_then(|time| time.parse().ok());
        let is_recent = |time: Timestamp| now().duration_since(time) < UNSETTLED;
        (!latest.is_some_and(is_recent)).then(|| page.digest.clone())
    }

    /// Returns the target of a redirect. Only the same host may see the token.
    pub(super) fn redirect(&self, from: &Url, answer: &Answer) -> Result<Url, ForgeError> {
        let location = header(&answer.headers, LOCATION.as_str()).unwrap_or_default();
        let target =
            from.join(location).map_err(|_| self.malformed("a redirect without a target"))?;
        if target.origin() != from.origin() {
            return Err(ForgeError::OtherHost {
                tracker: self.tracker.to_string(),
                host: self.host(),
                target: target.host_str().unwrap_or_default().to_owned(),
            });
        }
        self.was_redirected.store(true, Ordering::Relaxed);
        Ok(target)
    }

    /// The error of one redirect too many. Parameters of the target are not shown.
    pub(super) fn redirect_loop(&self, target: &Url) -> ForgeError {
        let path = target.path().chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
        let tracker = self.tracker.to_string();
        ForgeError::RedirectLoop { tracker, host: self.host(), redirects: HOPS, path }
    }

    /// Waits for the end of a rate limit.
    ///
    /// # Errors
    /// The answer is another refusal, or the wait is too long. `retries` were made before.
    pub(super) async fn wait_for_limit(
        &self,
        answer: &Answer,
        retries: u32,
        waits: &mut u32,
    ) -> Result<(), ForgeError> {
        let wait = self.rate_limit_wait(answer);
        let Some(wait) = wait.filter(|wait| *waits < WAITS && *wait <= LONGEST_WAIT) else {
            return Err(self.refusal(answer, retries, wait));
        };
        let seconds = wait.as_secs().max(1);
        tracing::warn!("{} limits requests; resuming in {seconds} s", self.host());
        tokio::time::sleep(wait).await;
        *waits += 1;
        Ok(())
    }

    fn rate_limit_wait(&self, answer: &Answer) -> Option<Duration> {
        rate_limit::wait_of(answer.status, &answer.headers, &self.message(answer), now())
    }

    fn refusal(&self, answer: &Answer, retries: u32, wait: Option<Duration>) -> ForgeError {
        let status = answer.status;
        let (host, tracker) = (self.host(), self.tracker.to_string());
        let variables = token::variables(&self.tracker).join(" or ");
        let had_token = self.token.is_some();
        match (status, wait) {
            (_, Some(wait)) => {
                let until = now().checked_add(wait).unwrap_or(Timestamp::MAX);
                ForgeError::RateLimited { host, until, had_token }
            }
            (401, _) => ForgeError::Unauthorized { tracker, host, variables, had_token },
            (404, _) => {
                let missing_token = (!had_token).then_some(variables);
                ForgeError::NotFound { tracker, host, missing_token }
            }
            (500.., _) => ForgeError::Server { host, status, retries },
            _ => ForgeError::Refused { tracker, host, status, message: self.message(answer) },
        }
    }

    /// Returns the message of an answer in a short line, without the token.
    fn message(&self, answer: &Answer) -> String {
        let text = answer_message(&answer.body);
        let line = text.lines().next().unwrap_or_default();
        // Hidden before the line is cut: a cut token would not be found.
        let line = match &self.token {
            Some(token) => token.hidden_in(line),
            None => line.to_owned(),
        };
        line.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect()
    }

    pub(super) fn host(&self) -> String {
        self.base.host_str().unwrap_or_default().to_owned()
    }
}

/// Sends a request and reads the answer; `Err` is the reason in words.
pub(super) async fn receive(request: RequestBuilder) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(http::reason)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(http::reason)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            return Err(format!("an answer has more than {} MiB", MOST_BYTES >> 20));
        }
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Time in which further changes may bear the same time as the last; includes differences of clocks.
const UNSETTLED: SignedDuration = SignedDuration::from_secs(60);

fn now() -> Timestamp {
    Timestamp::from_millisecond(crate::clock::now().0).unwrap_or_default()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the address of the next page: of the `Link` header, else of `x-next-page` (GitLab). Only the parameters are
/// taken, because servers behind a proxy may name another host there.
fn next_page(answered: &Url, headers: &HeaderMap) -> Option<Url> {
    let linked = header(headers, LINK.as_str()).and_then(|link| {
        let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
        let address = next.split_once('<')?.1.split_once('>')?.0;
        answered.join(address).ok()
    });
    if let Some(linked) = linked {
        let mut next = answered.clone();
        next.set_query(linked.query());
        return Some(next);
    }
    let number = header(headers, "x-next-page").filter(|number| number.parse::<u32>().is_ok())?;
    let others: Vec<(String, String)> =
        answered.query_pairs().into_owned().filter(|(name, _)| name != "page").collect();
    let mut next = answered.clone();
    next.query_pairs_mut().clear().extend_pairs(others).append_pair("page", number);
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(headers: &[(&'static str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let asked = Url::parse("https://api.x.org/repositories/1/issues?state=open").unwrap();
        next_page(&asked, &map).map(Into::into)
    }

    #[test]
    fn the_next_page_is_on_the_same_host() {
        let link = "<https://api.x.org/repositories/1/issues?state=open&page=2>; rel=\"next\", \
                    <https://api.x.org/repositories/1/issues?state=open&page=9>; rel=\"last\"";
        let second = "https://api.x.org/repositories/1/issues?state=open&page=2";
        assert_eq!(next(&[("link", link)]).as_deref(), Some(second));
        let elsewhere = "<http://evil.org/steal?state=open&page=2>; rel=\"next\"";
        assert_eq!(next(&[("link", elsewhere)]).as_deref(), Some(second));
        assert_eq!(next(&[("x-next-page", "2")]).as_deref(), Some(second));
        assert_eq!(next(&[("x-next-page", "")]), None);
        assert_eq!(next(&[("link", "<https://api.x.org/?page=1>; rel=\"prev\"")]), None);
    }
}
