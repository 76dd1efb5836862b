-- Products that may send crashes (`CrashProducts listed`), and crashes that wait to be looked at.

CREATE TABLE product (
  name      text PRIMARY KEY CHECK (name <> ''),
  packages  text[] NOT NULL DEFAULT '{}',       -- Android packages; none: any
  versions  text[] NOT NULL DEFAULT '{}',       -- patterns, as '115.*'; none: any
  created   timestamptz NOT NULL DEFAULT now()
);

-- crash_job.state 3 is "deferred": stored, processed when somebody looks at it.
CREATE UNIQUE INDEX crash_job_deferred ON crash_job (crash_id, ruleset) WHERE state = 3;
