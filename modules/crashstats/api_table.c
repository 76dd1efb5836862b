/*
 * The endpoints of the API: what each takes, who may call it, and what the page says of it. Sorted
 * by group as the page shows them.
 */
#include "crashstats/api.h"

#include "db/token.h"

static const api_param_t none[] = { { NULL } };

#define CRASH_ID                                                                                   \
    {                                                                                              \
        "crash_id", API_STRING, true, "", "With or without bp-"                                    \
    }

static const api_param_t one_crash[] = { CRASH_ID, { NULL } };

/* What is wrong with this one's id is said in words of its own. */
static const api_param_t verify[] = { { "crash_id", API_STRING, false, "", "With or without bp-" },
                                      { NULL } };

static const api_param_t raw[] = {
    CRASH_ID,
    { "format", API_STRING, false, "meta", "meta: annotations; raw: the bytes of a file" },
    { "name", API_STRING, false, "dump", "Which file; names are in metadata.dump_checksums" },
    { NULL }
};

static const api_param_t reprocessing[] = {
    { "crash_ids", API_LIST, true, "",
      "ID or ID:RULESET, any number of times; all are checked before any is queued" },
    { NULL }
};

static const api_param_t missing[] = { { "page", API_STRING, false, "1", "1,000 records each" },
                                       { NULL } };

static const api_param_t super_search[] = {
    { "product", API_LIST, false, "any",
      "As every field of the list: value, or operator and value" },
    { "signature", API_LIST, false, "any", "~text contains, =text is, ^text starts, @regex" },
    { "date", API_LIST, false, "last 7 days", ">=2026-11-01, and one with < besides" },
    { "_columns", API_LIST, false, "uuid, date, ...", "Fields of hits" },
    { "_facets", API_LIST, false, "signature", "Fields to count by" },
    { "_facets_size", API_INT, false, "50", "Terms of a facet; 0: count nothing" },
    { "_aggs.FIELD", API_LIST, false, "none", "Facets within the terms of a facet" },
    { "_histogram.FIELD", API_LIST, false, "none", "Facets within steps of a date or number" },
    { "_histogram_interval.FIELD", API_STRING, false, "day, 1", "How wide a step is" },
    { "_sort", API_LIST, false, "none", "A field, - before it: descending" },
    { "_results_number", API_INT, false, "100", "Hits, at most 1,000" },
    { "_results_offset", API_INT, false, "0", "With the number at most 10,000" },
    { "_return_query", API_STRING, false, "no", "1: the statements instead of their result" },
    { NULL }
};

static const api_param_t signatures[] = {
    { "signatures", API_LIST, true, "", "Whole signatures, any number of times" }, { NULL }
};

static const api_param_t bug_ids[] = {
    { "bug_ids", API_LIST, true, "", "Numbers of bugs, any number of times" }, { NULL }
};

static const api_param_t version_string[] = {
    { "product", API_STRING, true, "", "As crashes name it" },
    { "channel", API_STRING, true, "", "beta, release, ..." },
    { "build_id", API_STRING, true, "", "YYYYMMDDhhmmss" },
    { NULL }
};

static const api_param_t signature_jobs[] = {
    { "jobs", API_TEXT, false, "", "A JSON body {\"jobs\": [crash data, ...]}, at most 1,000" },
    { NULL }
};

static const api_param_t no_op[] = {
    { "product", API_STRING, true, "", "Any text; bad is refused" }, { NULL }
};

static const api_param_t pings[] = {
    { "product", API_LIST, false, "any", "As every field: =, ~, ^, $, @, and ! before values" },
    { "date", API_LIST, false, "7 days", "With >=, >, <=, <" },
    { "report", API_STRING, false, "any", "1, 0: with or without a report of the same crash" },
    { "_facets", API_LIST, false, "none", "Fields whose values are counted" },
    { "_facets_size", API_INT, false, "50", "Values of a facet" },
    { "_columns", API_LIST, false, "nine", "Fields of hits" },
    { "_sort", API_LIST, false, "-date", "A field, - before it: descending" },
    { "_results_number", API_INT, false, "100", "At most 1,000" },
    { "_results_offset", API_INT, false, "0", "Hits to pass over" },
    { NULL }
};

static const api_param_t ping_gaps[] = {
    { "product", API_STRING, false, "any", "Also channel, version, os, process_type" },
    { "_days", API_INT, false, "7", "Whole days of UTC, today included" },
    { "_min_pings", API_INT, false, "10", "At least so many pings" },
    { "_max_reports", API_INT, false, "10", "At most so many reports" },
    { "_results_number", API_INT, false, "100", "At most 1,000" },
    { NULL }
};

#define CRASHES "Crash data"
#define SEARCH "Search"
#define TRIAGE "Signatures and bugs"
#define PINGS "Crash pings"
#define PII "View Personal Identifiable Information"
#define HITS "{\"hits\": [...], \"total\": n}"
#define RESULT "{\"hits\": [...], \"total\": n, \"facets\": {...}, \"errors\": [...]}"

const api_endpoint_t api_endpoints[] = {
    { "ProcessedCrash", CRASHES, "GET", 0, API_STORE, CRASHSTATS_BUCKET_API, api_processed_crash,
      one_crash, "What processing has made of a crash", "",
      "The document; protected fields for who may " PII },
    { "RawCrash", CRASHES, "GET", 0, API_STORE, CRASHSTATS_BUCKET_API, api_raw_crash, raw,
      "Annotations as they were received, or a dump", "dumps need View Raw Dumps",
      "meta: the annotations, protected ones for who may " PII "; raw: bytes" },
    { "Reprocessing", CRASHES, "POST", SAL_PERM_REPROCESS_CRASHES, API_CACHED,
      CRASHSTATS_BUCKET_API, api_reprocessing, reprocessing, "Has crashes processed again",
      "needs Reprocess Crashes", "true" },
    { "CrashVerify", CRASHES, "GET", 0, API_OPEN | API_STORE, CRASHSTATS_BUCKET_VERIFY,
      api_crash_verify, verify, "In which stores a crash is", "",
      "{\"uuid\", \"raw_crash\", \"processed_crash\", \"elasticsearch_crash\", "
      "\"telemetry_crash\"}: elasticsearch stands for the search table" },
    { "MissingProcessedCrash", CRASHES, "GET", 0, API_OPEN, CRASHSTATS_BUCKET_MISSING,
      api_missing_processed, missing, "Crashes that were found without a processed one", "",
      "{\"results\": [{\"crash_id\", \"is_processed\", \"created\"}], \"count\", \"next\", "
      "\"previous\"}" },
    { "SuperSearch", SEARCH, "GET", 0, API_CACHED | API_SEARCH, CRASHSTATS_BUCKET_API,
      api_super_search, super_search, "Finds crashes and counts them", "",
      RESULT "; what touches a field that the caller may not see is left out and named in errors" },
    { "SuperSearchFields", SEARCH, "GET", 0, API_CACHED, CRASHSTATS_BUCKET_API,
      api_super_search_fields, none, "The fields of searches, their types and rights", "",
      "{\"NAME\": {\"name\", \"query_type\", \"data_validation_type\", \"permissions_needed\", "
      "\"description\", ...}, ...}" },
    { "SuperSearchUnredacted", SEARCH, "GET", SAL_PERM_VIEW_PII, API_CACHED | API_SEARCH,
      CRASHSTATS_BUCKET_API, api_super_search_unredacted, super_search,
      "The same over all fields; unknown names are errors", "needs " PII, RESULT },
    { "Bugs", TRIAGE, "GET, POST", 0, API_CACHED, CRASHSTATS_BUCKET_API, api_bugs, signatures,
      "Bugs that name signatures, with all signatures that they name", "",
      "{\"hits\": [{\"id\": n, \"signature\"}], \"total\": n}" },
    { "SignaturesByBugs", TRIAGE, "GET", 0, API_CACHED, CRASHSTATS_BUCKET_API,
      api_signatures_by_bugs, bug_ids, "Signatures that bugs name", "",
      "{\"hits\": [{\"id\": n, \"signature\"}], \"total\": n}" },
    { "SignatureFirstDate", TRIAGE, "GET", 0, API_CACHED, CRASHSTATS_BUCKET_API,
      api_signature_first_date, signatures, "When signatures were met first, and in which build",
      "", "{\"hits\": [{\"signature\", \"first_build\", \"first_date\"}], \"total\": n}" },
    { "VersionString", TRIAGE, "GET", 0, API_CACHED, CRASHSTATS_BUCKET_API, api_version_string,
      version_string, "The version that a build was released as", "",
      "{\"hits\": [{\"version_string\"}], \"total\": n}" },
    { "CrashSignature", TRIAGE, "POST", 0, API_OPEN | API_BODY, CRASHSTATS_BUCKET_SIGNATURE,
      api_crash_signature, signature_jobs, "Signatures of crash data that the caller has", "",
      "{\"results\": [{\"signature\", \"notes\", \"extra\"}]}" },
    { "CrashPings", PINGS, "GET", 0, 0, CRASHSTATS_BUCKET_API, api_pings, pings,
      "Crash pings: hits, counts", "protected fields need " PII, RESULT },
    { "CrashPingSignatures", PINGS, "GET", 0, 0, CRASHSTATS_BUCKET_API, api_ping_gaps, ping_gaps,
      "Signatures with many pings and few reports", "", HITS },
    { "NoOp", "Tests", "GET", 0, API_CACHED, CRASHSTATS_BUCKET_API, api_no_op, no_op,
      "Nothing; for trying a client", "", "{\"hits\": [], \"total\": 0}" }
};

const int api_endpoints_n = sizeof(api_endpoints) / sizeof(api_endpoints[0]);

const api_endpoint_t *api_find(const char *name)
{
    for (int i = 0; i < api_endpoints_n; i++) {
        if (strcmp(name, api_endpoints[i].name) == 0) {
            return &api_endpoints[i];
        }
    }
    return NULL;
}
