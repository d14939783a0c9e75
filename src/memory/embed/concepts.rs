//! Synonyms in code, so that `auth` finds `login`: a small thesaurus for the builtin embedder.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::tokens::stem;

/// Each line is a concept; a word may belong to several.
const GROUPS: &[&str] = &[
    "auth authentication authenticate authorize authorization login logout signin session token credential credentials jwt oauth password permission permissions role",
    "database db sql sqlite postgres postgresql mysql query table schema migration orm sqlalchemy transaction row column",
    "test tests testing pytest unittest jest mocha spec assert assertion fixture mock coverage vitest",
    "config configuration settings setting yaml toml ini env environment option options preference flag",
    "import module modulenotfounderror importerror package dependency dependencies require requirements install missing pip npm",
    "network socket http https request response url connect connection refused host port dns client server endpoint api rest",
    "timeout timedout deadline slow hang hangs stall wait latency expired expire",
    "file path directory folder filesystem filenotfounderror enoent open read write disk",
    "parse parser parsing syntax syntaxerror token lexer grammar decode deserialize json xml unmarshal jsondecodeerror",
    "serialize serialization encode dump marshal json format formatter render",
    "log logs logging logger trace tracing telemetry metric metrics monitor observability",
    "error errors exception fail failed failure failing crash panic broken raise raised throw thrown traceback",
    "fix fixed repair resolve resolved correct corrected patch bugfix solve solved handle",
    "type types typing typeerror mypy annotation cast convert conversion coerce attributeerror attribute",
    "none null undefined nil nonetype optional missing empty nullpointerexception unwrap",
    "key keyerror dict dictionary map mapping lookup index indexerror field",
    "cache caching memoize redis lru ttl invalidate evict",
    "queue worker job task schedule scheduler celery background async await asyncio thread threads concurrency concurrent lock mutex race deadlock",
    "user users account profile member customer",
    "ui frontend component components react vue tsx jsx css style button page view render layout html dom widget",
    "form input field validate validation validator invalid valid sanitize constraint check",
    "docker container compose image kubernetes pod deploy deployment helm",
    "ci pipeline workflow action actions build lint github",
    "memory leak oom allocation heap memoryerror ram buffer",
    "permission denied permissionerror eacces access forbidden 403 unauthorized 401 privilege",
    "encoding unicode utf8 unicodedecodeerror ascii charset bytes decode",
    "date time datetime timestamp timezone utc clock calendar day duration",
    "email mail smtp notification notify message send webhook alert",
    "payment billing invoice price checkout order cart subscription stripe money currency",
    "upload download attachment blob storage s3 bucket file stream",
    "vector embedding embeddings similarity faiss qdrant search index retrieval recall",
    "retry backoff attempt attempts again resilience circuit breaker",
    "rate limit limiter throttle quota 429",
    "cli command argument arguments argv argparse clap flag option terminal shell subprocess process",
    "doc docs documentation readme guide tutorial comment docstring markdown",
    "git commit branch merge rebase conflict diff repository checkout",
    "security vulnerability xss csrf injection escape sanitize encrypt encryption crypto hash secret",
    "performance optimize optimise speed fast benchmark profile efficient slow",
    "list array vec vector slice collection sequence iterate iterator loop",
    "number integer int float decimal numeric overflow division zero zerodivisionerror arithmetic math rounding precision",
    "router route routes routing endpoint handler controller view middleware",
    "model entity record object class struct orm schema",
    "recursion recursive stack depth overflow recursionerror cycle cyclic circular",
    "version upgrade downgrade compatibility incompatible deprecated deprecation mismatch",
    "duplicate unique uniqueness conflict integrityerror constraint already exists",
    "delete remove drop clean cleanup purge destroy prune",
    "create add new insert make build generate initialize init",
    "update modify edit change replace upsert set",
    "start run launch execute boot spawn invoke begin",
    "stop end kill terminate shutdown exit cancel abort signal",
    "translate translation locale i18n language localization",
    "graph chart plot dashboard report visualization analytics statistic",
    "borrow borrowed lifetime ownership moved move clone reference e0382 e0502 e0499 e0505 e0597",
    "trait impl generic bound implemented e0277 derive interface protocol abstract",
    "unresolved undefined nameerror e0425 e0432 e0433 scope cannot find undeclared referenceerror",
    "argument arguments parameter parameters signature positional keyword unexpected expected",
];

/// Returns the concepts of a stemmed word.
pub fn of(stemmed: &str) -> &'static [u16] {
    static CONCEPTS: LazyLock<HashMap<String, Vec<u16>>> = LazyLock::new(concepts);
    CONCEPTS.get(stemmed).map_or(&[], Vec::as_slice)
}

fn concepts() -> HashMap<String, Vec<u16>> {
    let mut concepts: HashMap<String, Vec<u16>> = HashMap::new();
    for (number, group) in (0u16..).zip(GROUPS) {
        for word in group.split(' ') {
            let of_word = concepts.entry(stem(word)).or_default();
            if !of_word.contains(&number) {
                of_word.push(number);
            }
        }
    }
    concepts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_share_its_concepts() {
        assert!(!of(&stem("caching")).is_empty());
        assert_eq!(of(&stem("cache")), of(&stem("caching")));
        assert!(of(&stem("login")).iter().any(|concept| of(&stem("auth")).contains(concept)));
        assert!(of("zyxw").is_empty());
    }
}
