//! Rate limits of a provider's key. They hold for all agents and machines with the key. The database knows the key only
//! by a salted hash.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::phase::words::hex;
use crate::phase::{PhaseId, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as, query_scalar};
use crate::store::columns::to_json;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;

/// Ended limits are kept for this long: phases may be deferred for a little longer than their key.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// The secret used by a provider to recognize a customer.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderKey(String);

impl ProviderKey {
    /// Wraps a secret.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Returns the name of the key in a database: the same on all machines, and useless elsewhere.
    fn fingerprint(&self, salt: &str) -> String {
        hex(&Sha256::digest(format!("autopack key {salt} {}", self.0).as_bytes())[..8])
    }
}

/// Without the secret.
impl fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderKey(..)")
    }
}

/// A rate limit of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLimit {
    /// Salted hash of the key.
    pub fingerprint: String,
    /// Agent that met the limit.
    pub agent: String,
    /// End of the limit.
    pub until: UnixMs,
}

/// The known limits of keys.
#[derive(Clone, Debug, Default)]
pub struct KeyLimits {
    salt: String,
    limits: Vec<(String, UnixMs)>,
}

impl KeyLimits {
    /// Returns the fingerprint of a key and the end of the key's limit; `None` if the key was never limited.
    pub fn of(&self, key: &ProviderKey) -> Option<(String, UnixMs)> {
        if self.limits.is_empty() {
            return None;
        }
        let ours = key.fingerprint(&self.salt);
        let limit = self.limits.iter().find(|(fingerprint, _)| *fingerprint == ours)?;
        Some(limit.clone())
    }

    /// Returns the fingerprints of the keys with a recorded limit.
    fn fingerprints(&self, keys: &[ProviderKey]) -> Vec<String> {
        keys.iter().filter_map(|key| Some(self.of(key)?.0)).collect()
    }
}

impl Store {
    /// Records a phase's deferral until this time by a rate limit of a key.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn record_key_limit(
        &self,
        key: &ProviderKey,
        limit: (&str, UnixMs),
        (run, phase): (&RunId, &PhaseId),
    ) -> Result<(), StoreError> {
        let (agent, until) = limit;
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let known: Option<String> = query_scalar("SELECT salt FROM key_limits LIMIT 1")
                .fetch_optional(&mut *tx)
                .await?;
            let salt = known.unwrap_or_else(|| format!("{:032x}", fastrand::u128(..)));
            let fingerprint = key.fingerprint(&salt);
            query(
                "INSERT INTO key_limits (fingerprint, salt, agent, until_ms) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (fingerprint) DO UPDATE SET agent = excluded.agent, until_ms = excluded.until_ms",
            )
            .bind(&fingerprint)
            .bind(&salt)
            .bind(agent)
            .bind(until.0)
            .execute(&mut *tx)
            .await?;
            query("DELETE FROM key_limits WHERE until_ms < ?")
                .bind(until.0 - KEPT_MS)
                .execute(&mut *tx)
                .await?;
            query(
                "UPDATE phases SET deferred_key = ?
                  WHERE run = (SELECT id FROM runs WHERE run_id = ?) AND phase_id = ? AND state = 'QUEUED'",
            )
            .bind(&fingerprint)
            .bind(run.as_str())
            .bind(phase.as_str())
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Returns the limits of keys still in force, by agent.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn key_limits(&self, now: UnixMs) -> Result<Vec<KeyLimit>, StoreError> {
        self.named(|| async move {
            let rows: Vec<(String, String, i64)> = query_as(
                "SELECT fingerprint, agent, until_ms FROM key_limits WHERE until_ms > ? ORDER BY agent, fingerprint",
            )
            .bind(now.0)
            .fetch_all(&self.reader)
            .await?;
            let limit = |(fingerprint, agent, until)| KeyLimit {
                fingerprint,
                agent,
                until: UnixMs(until),
            };
            Ok(rows.into_iter().map(limit).collect())
        })
        .await
    }
}

/// Checks an owner's permission to claim, and reads the limits of keys. Uses a single statement, because every claim
/// needs this check.
pub(super) async fn read_key_limits(
    tx: &mut Connection,
    owner: &OwnerId,
) -> Result<KeyLimits, StoreError> {
    type Row = (Option<String>, Option<String>, Option<String>, Option<i64>);
    let rows: Vec<Row> = query_as(
        "SELECT owners.owner, fingerprint, salt, until_ms FROM (SELECT 1 AS one) AS asked
           LEFT JOIN owners ON owners.owner = ? AND NOT fenced LEFT JOIN key_limits ON TRUE",
    )
    .bind(owner.as_str())
    .fetch_all(tx)
    .await?;
    let mut known = KeyLimits::default();
    for (found, fingerprint, salt, until) in rows {
        if found.is_none() {
            return Err(StoreError::Fenced { owner: owner.clone() });
        }
        if let (Some(fingerprint), Some(salt), Some(until)) = (fingerprint, salt, until) {
            known.salt = salt;
            known.limits.push((fingerprint, UnixMs(until)));
        }
    }
    Ok(known)
}

/// Phases taken back at a time: a drain with the limited key may defer them again.
const TAKEN_BACK: i64 = 50;

/// Ends deferrals of phases by limits of keys missing on this machine. Returns whether there were any.
pub(super) async fn end_deferrals_of_others(
    tx: &mut Connection,
    run: &RunId,
    limits: &KeyLimits,
    keys: &[ProviderKey],
    now: UnixMs,
) -> Result<bool, StoreError> {
    if limits.limits.is_empty() {
        return Ok(false);
    }
    let ended = query(
        "UPDATE phases SET not_before = 0, deferred_key = NULL WHERE id IN (
             SELECT id FROM phases
              WHERE run = (SELECT id FROM runs WHERE run_id = ?1)
                AND state = 'QUEUED' AND unmet = 0 AND held = 0 AND not_before > 0 AND not_before > ?2
                AND deferred_key IS NOT NULL AND deferred_key NOT IN (SELECT value FROM json_each(?3))
              ORDER BY not_before LIMIT ?4)",
    )
    .bind(run.as_str())
    .bind(now.0)
    .bind(to_json(&limits.fingerprints(keys)))
    .bind(TAKEN_BACK)
    .execute(tx)
    .await?;
    Ok(ended.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_short_salted_and_not_the_key() {
        let (one, two) = (ProviderKey::new("sk-one".into()), ProviderKey::new("sk-two".into()));
        assert_eq!(one.fingerprint("salt"), ProviderKey::new("sk-one".into()).fingerprint("salt"));
        assert_ne!(one.fingerprint("salt"), two.fingerprint("salt"));
        assert_ne!(one.fingerprint("salt"), one.fingerprint("pepper"));
        assert_eq!(one.fingerprint("salt").len(), 16);
        assert!(!format!("{one:?}").contains("sk-one"));
    }
}
