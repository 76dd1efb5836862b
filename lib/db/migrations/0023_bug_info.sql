-- What the tracker says of bugs (docs/triage.md): a copy, for pages that show bugs beside signatures.
CREATE TABLE bug_info (
  bug         bigint PRIMARY KEY,
  summary     text NOT NULL,
  status      text NOT NULL,     -- the tracker's word: NEW, RESOLVED ...
  resolution  text NOT NULL,     -- '' while it is open
  fetched     timestamptz NOT NULL
);
