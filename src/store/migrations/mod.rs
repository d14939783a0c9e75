//! The schema of the database as numbered migrations, never edited once released. Postgres came with version 24: its first
//! migration makes the schema of that version.

use super::backend::sqlite::APPLICATION_ID;
use crate::schema_version::Schema;

/// All migrations, in order. Their number is the schema version.
const MIGRATIONS: &[&str] = &[
    include_str!("0001_initial.sql"),
    include_str!("0002_memory_backend.sql"),
    include_str!("0003_session.sql"),
    include_str!("0004_footprint.sql"),
    include_str!("0005_estimate.sql"),
    include_str!("0006_activity.sql"),
    include_str!("0007_backlog.sql"),
    include_str!("0008_owners_and_evidence.sql"),
    include_str!("0009_uncounted.sql"),
    include_str!("0010_base_results.sql"),
    include_str!("0011_clean_tests.sql"),
    include_str!("0012_settlements.sql"),
    include_str!("0013_reverts.sql"),
    include_str!("0014_operator_control.sql"),
    include_str!("0015_last_looks.sql"),
    include_str!("0016_scope_proposals.sql"),
    include_str!("0017_run_sources.sql"),
    include_str!("0018_phase_sources.sql"),
    include_str!("0019_scope_requests.sql"),
    include_str!("0020_source_parts.sql"),
    include_str!("0021_merge_queue.sql"),
    include_str!("0022_publications.sql"),
    include_str!("0023_updates.sql"),
    include_str!("0024_persons_attempts.sql"),
    include_str!("0025_machines.sql"),
    include_str!("0026_artifacts.sql"),
    include_str!("0027_key_limits.sql"),
    include_str!("0028_told_changes.sql"),
];
pub(super) const SCHEMA: Schema = Schema { application_id: APPLICATION_ID, migrations: MIGRATIONS };
/// Version of the schema after all migrations.
pub const SCHEMA_VERSION: i64 = SCHEMA.version();

/// The migrations of Postgres, with the version after each.
pub(super) const POSTGRES_MIGRATIONS: &[(i64, &str)] = &[
    (24, include_str!("postgres/0024_schema.sql")),
    (25, include_str!("postgres/0025_machines.sql")),
    (26, include_str!("postgres/0026_artifacts.sql")),
    (27, include_str!("postgres/0027_key_limits.sql")),
    (28, include_str!("postgres/0028_told_changes.sql")),
];
